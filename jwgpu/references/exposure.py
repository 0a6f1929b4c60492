"""What the choice and the cutting of a reference need to know of an exposure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jwgpu.errors import InputError
from jwgpu.models.stripes import StripedReadout, is_striped, striped_readout

#: Where the metadata tree of an exposure or a reference keeps the value of a FITS keyword.
PLACES: Mapping[str, str] = {
    "INSTRUME": "instrument.name",
    "DETECTOR": "instrument.detector",
    "MODULE": "instrument.module",
    "CHANNEL": "instrument.channel",
    "BAND": "instrument.band",
    "FILTER": "instrument.filter",
    "PUPIL": "instrument.pupil",
    "GRATING": "instrument.grating",
    "CORONMSK": "instrument.coronagraph",
    "EXP_TYPE": "exposure.type",
    "READPATT": "exposure.readpatt",
    "NFRAMES": "exposure.nframes",
    "NGROUPS": "exposure.ngroups",
    "NINTS": "exposure.nints",
    "GROUPGAP": "exposure.groupgap",
    "NOUTPUTS": "exposure.noutputs",
    "GAINFACT": "exposure.gain_factor",
    "AVDRKCUR": "exposure.average_dark_current",
    "SUBARRAY": "subarray.name",
    "SUBSTRT1": "subarray.xstart",
    "SUBSTRT2": "subarray.ystart",
    "SUBSIZE1": "subarray.xsize",
    "SUBSIZE2": "subarray.ysize",
    "INTSTART": "exposure.integration_start",
    "DATE-OBS": "observation.date",
    "TIME-OBS": "observation.time",
    "REFTYPE": "reftype",
    "USEAFTER": "useafter",
    "P_EXP_TY": "exposure.p_exptype",
    "P_READPA": "exposure.p_readpatt",
    "P_SUBARR": "subarray.p_subarray",
    "P_DETECT": "instrument.p_detector",
    "P_MODULE": "instrument.p_module",
    "P_FILTER": "instrument.p_filter",
    "P_PUPIL": "instrument.p_pupil",
    "P_GRATIN": "instrument.p_grating",
    "P_CHANNE": "instrument.p_channel",
    "P_BAND": "instrument.p_band",
}


@dataclass(frozen=True)
class Region:
    """A rectangle of a detector, in pixels counted from 1 in the science orientation."""

    x_start: int
    y_start: int
    x_size: int
    y_size: int

    def __str__(self) -> str:
        return (
            f"columns {self.x_start}-{self.x_start + self.x_size - 1}, "
            f"rows {self.y_start}-{self.y_start + self.y_size - 1}"
        )

    def contains(self, other: Region) -> bool:
        """Whether `other` lies within this region."""
        return (
            self.x_start <= other.x_start
            and self.y_start <= other.y_start
            and self.x_start + self.x_size >= other.x_start + other.x_size
            and self.y_start + self.y_size >= other.y_start + other.y_size
        )


@dataclass(frozen=True)
class Exposure:
    """The facts of an exposure by FITS keyword, and its metadata tree."""

    keywords: Mapping[str, Any]
    tree: Any

    @classmethod
    def from_meta(cls, meta: Any) -> Exposure:
        """Take the facts out of a metadata tree.

        Parameters
        ----------
        meta : ObjectNode, or anything nested with the same names
            The metadata tree of `stdatamodels`.
        """
        tree = getattr(meta, "instance", meta)
        return cls(keywords_of(tree), tree)

    @property
    def name(self) -> str:
        """What to call the exposure in a message."""
        return str(_at(self.tree, "filename") or "the exposure")

    @property
    def instrument(self) -> str:
        """Name of the instrument, in capitals.

        Raises
        ------
        InputError
            If the exposure does not say.
        """
        return str(self._required("INSTRUME")).upper()

    @property
    def is_striped(self) -> bool:
        """Whether it was read in stripes, so that its region does not say which pixels it has."""
        return is_striped(self.tree)

    def stripes(self) -> StripedReadout | None:
        """Return how it was read in stripes, None if it was not.

        Raises
        ------
        InputError
            If its keywords make no sense.
        """
        return striped_readout(self.tree)

    def region(self, shape: tuple[int, ...]) -> Region:
        """Find the part of the detector that was read.

        Where it was read in stripes this is what the keywords say, which is true of its fast axis
        only.

        Parameters
        ----------
        shape : tuple of int
            Shape of the data; only (…, y, x) counts, and beats the size keywords.

        Raises
        ------
        InputError
            If a keyword of the subarray is missing or out of range.
        """
        x_start, y_start = (int(self._required(key)) for key in ("SUBSTRT1", "SUBSTRT2"))
        for key in ("SUBSIZE1", "SUBSIZE2"):
            self._required(key)
        if x_start < 1 or y_start < 1:
            raise InputError(
                f"{self.name}: SUBSTRT1={x_start}, SUBSTRT2={y_start}: the corner of a subarray "
                "is counted from 1; correct the keywords"
            )
        y_size, x_size = shape[-2:]
        if y_size == 3200 and self.keywords.get("SUBSIZE2") == 2048:
            y_size = 2048  # NIRSpec's IRS2 readout interleaves reference pixels
        return Region(x_start, y_start, x_size, y_size)

    def crds_parameters(self) -> dict[str, str | int | float | bool]:
        """Return what CRDS selects by: every simple value of the tree, by its dotted name."""
        return {
            f"meta.{name}": value
            for name, value in _leaves(self.tree)
            if isinstance(value, str | int | float | bool)
        }

    def _required(self, keyword: str) -> Any:
        value = self.keywords.get(keyword)
        if value is None:
            raise InputError(
                f"{self.name}: keyword {keyword} is missing, no reference can be matched; add it"
            )
        return value


def keywords_of(tree: Any) -> dict[str, Any]:
    """Return the FITS keywords (of `PLACES`) that a metadata tree has values for."""
    values = {keyword: _at(tree, place) for keyword, place in PLACES.items()}
    return {keyword: value for keyword, value in values.items() if value is not None}


def full_frame(instrument: str) -> tuple[int, int]:
    """Return the rows and columns of a whole detector of an instrument."""
    return (1024, 1032) if instrument.upper() == "MIRI" else (2048, 2048)


def _at(tree: Any, place: str) -> Any:
    for name in place.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else getattr(tree, name, None)
        if tree is None:
            return None
    return tree


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in (tree if isinstance(tree, Mapping) else vars(tree)).items():
        if isinstance(value, Mapping) or type(value).__name__ == "SimpleNamespace":
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
