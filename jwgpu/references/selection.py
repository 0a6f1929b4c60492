"""Which keywords choose a reference of each type, and how well a file matches an exposure.

The keywords are those of the tables "Reference Selection Keywords" of the calibration documents.
The weights follow CRDS ("Best Reference Matching" in the same documents): an exact value counts,
N/A and GENERIC fit anything and count nothing; unlike there, ANY counts less than an exact value,
so that a file made for the mode is taken before one that is good for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jwgpu.references.exposure import Exposure, Region

_ALL = ("FGS", "MIRI", "NIRCAM", "NIRISS", "NIRSPEC")
_NEAR_IR = ("FGS", "NIRCAM", "NIRISS", "NIRSPEC")
_IMAGERS = ("FGS", "MIRI", "NIRCAM", "NIRISS")


def _for(instruments: tuple[str, ...], *keywords: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(instruments, keywords)


#: Reference type and instrument to the keywords that select. An instrument that is not there does
#: not use the type: CRDS answers N/A.
SELECTORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mask": {
        **_for(_ALL, "DETECTOR", "SUBARRAY"),
        **_for(("FGS",), "DETECTOR", "SUBARRAY", "EXP_TYPE"),
        **_for(("NIRSPEC",), "DETECTOR", "SUBARRAY", "READPATT"),
    },
    "saturation": {
        **_for(_ALL, "DETECTOR"),
        **_for(("NIRSPEC",), "DETECTOR", "SUBARRAY"),
    },
    "superbias": _for(_NEAR_IR, "DETECTOR", "READPATT", "SUBARRAY"),
    "ipc": _for(_ALL, "DETECTOR"),
    "linearity": {
        **_for(_ALL, "DETECTOR", "SUBARRAY"),
        **_for(("MIRI",), "DETECTOR", "SUBARRAY", "FILTER", "BAND"),
    },
    "dark": {
        **_for(_ALL, "DETECTOR", "READPATT", "SUBARRAY"),
        **_for(("NIRCAM",), "DETECTOR", "EXP_TYPE", "NOUTPUTS", "SUBARRAY"),
    },
    "gain": _for(_ALL, "DETECTOR", "SUBARRAY"),
    "readnoise": _for(_ALL, "DETECTOR", "READPATT", "SUBARRAY"),
    "reset": _for(("MIRI",), "DETECTOR", "READPATT", "SUBARRAY"),
    "rscd": _for(("MIRI",), "DETECTOR"),
    "flat": {
        **_for(("FGS",), "DETECTOR", "EXP_TYPE"),
        **_for(("MIRI",), "DETECTOR", "FILTER", "BAND", "READPATT", "SUBARRAY"),
        **_for(("NIRCAM", "NIRISS"), "DETECTOR", "FILTER", "PUPIL"),
        **_for(("NIRSPEC",), "DETECTOR", "FILTER", "GRATING", "EXP_TYPE"),
    },
    "pastasoss": _for(("NIRISS",)),
    "pictureframe": _for(("NIRSPEC",), "DETECTOR", "EXP_TYPE"),
    "refpix": _for(("NIRSPEC",), "DETECTOR", "READPATT"),
    "sirskernel": _for(("NIRCAM", "NIRISS", "NIRSPEC"), "DETECTOR"),
    "emicorr": _for(("MIRI",)),
    "trapdensity": _for(("FGS", "NIRCAM", "NIRISS"), "DETECTOR"),
    "trappars": _for(("FGS", "NIRCAM", "NIRISS"), "DETECTOR"),
    "persat": _for(("FGS", "NIRCAM", "NIRISS"), "DETECTOR"),
    "apcorr": {
        **_for(_IMAGERS, "EXP_TYPE"),
        **_for(("NIRSPEC",), "EXP_TYPE", "FILTER", "GRATING"),
    },
    "abvegaoffset": _for(_IMAGERS, "EXP_TYPE"),
}

#: For types that the tables above do not have: whatever of these a file states must fit.
_ANY_TYPE = (
    *("DETECTOR", "MODULE", "CHANNEL", "BAND", "FILTER", "PUPIL", "GRATING", "CORONMSK"),
    *("EXP_TYPE", "READPATT", "SUBARRAY"),
)

#: All keywords of a reference that matter for choosing it.
INDEXED = (
    *("INSTRUME", "REFTYPE", "USEAFTER", "NOUTPUTS"),
    *("SUBSTRT1", "SUBSTRT2", "SUBSIZE1", "SUBSIZE2"),
    *_ANY_TYPE,
    *(f"P_{keyword[:6]}" for keyword in _ANY_TYPE),
)

_WILD = {"N/A", "GENERIC", ""}
_EXACT, _ANY, _UNSTATED, _CUT = 1.0, 0.5, 0.0, -0.5


def is_used(reftype: str, instrument: str) -> bool:
    """Whether an instrument uses references of this type at all."""
    return instrument in SELECTORS.get(reftype, {instrument: ()})


def compare(
    reftype: str, reference: Mapping[str, Any], exposure: Exposure, region: Region | None
) -> str | float:
    """Compare a reference's keywords with an exposure.

    Parameters
    ----------
    reftype : str
        Type asked for, in lower case.
    reference : mapping
        Keywords of the reference, of `INDEXED`.
    exposure : Exposure
    region : Region, optional
        Part of the detector that was read.

    Returns
    -------
    str or float
        What does not fit, in words; or how well it fits, more being better.
    """
    weight = 0.0
    for keyword in SELECTORS.get(reftype, {}).get(exposure.instrument, _ANY_TYPE):
        found = _weight(keyword, reference, exposure.keywords.get(keyword))
        if found is None:
            stated = " or ".join(sorted(_values(keyword, reference)))
            return f"{keyword} is {stated}, not {exposure.keywords.get(keyword)}"
        weight += found
    covered = stated_region(reference)
    if covered is not None and region is not None:
        if not covered.contains(region) and not _need_not_cover(reftype, exposure):
            return f"it covers {covered}, not {region}"
        weight += 0.25 if covered == region else 0.0
    return weight


def _need_not_cover(reftype: str, exposure: Exposure) -> bool:
    """Whether a reference may be less than the exposure: than guide star strips butted together."""
    butted = "STACK" in str(exposure.keywords.get("EXP_TYPE"))
    return butted and reftype in ("gain", "readnoise", "flat")


def stated_region(reference: Mapping[str, Any]) -> Region | None:
    """Return the region that a reference says it covers; None if it does not say all of it."""
    try:
        numbers = [int(reference[f"SUB{word}{axis}"]) for word in ("STRT", "SIZE") for axis in "12"]
    except (KeyError, TypeError, ValueError):
        return None
    return Region(*numbers)


def _weight(keyword: str, reference: Mapping[str, Any], wanted: Any) -> float | None:
    """Return how well one keyword fits; None if it does not."""
    values = _values(keyword, reference)
    asked = _canonical(wanted)
    if asked in values and asked not in _WILD:
        return _EXACT
    if "ANY" in values:
        return _ANY
    if wanted is None or not values or values & _WILD:
        return _UNSTATED
    if keyword == "SUBARRAY" and "FULL" in values:
        return _CUT
    if keyword == "EXP_TYPE" and any(value.endswith("_DARK") for value in values):
        return _UNSTATED  # says how the reference was measured, not what it is for
    return None


def _values(keyword: str, reference: Mapping[str, Any]) -> set[str]:
    stated = reference.get(f"P_{keyword[:6]}") or reference.get(keyword)
    if stated is None:
        return set()
    values = {_canonical(part) for part in str(stated).split("|")}
    return values - {""} or {""}


def _canonical(value: Any) -> str:
    return str(value).strip().upper()
