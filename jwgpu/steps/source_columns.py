"""The columns of a source catalogue: names, order, descriptions, formats.

They are part of the product: word for word what readers find in official catalogues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

Energies: TypeAlias = Sequence[int] | NDArray[Any]

_FIRST = {
    "label": "Unique source identification label number",
    "xcentroid": "X pixel value of the source centroid (0 indexed)",
    "ycentroid": "Y pixel value of the source centroid (0 indexed)",
    "sky_centroid": "ICRS Sky coordinate of the source centroid",
}
_BACKGROUND = {
    "aper_bkg_flux": "The local background value calculated as the sigma-clipped median value in "
    "the background annulus aperture",
    "aper_bkg_flux_err": "The standard error of the sigma-clipped median background value",
}
_SHAPE = {
    "is_extended": "Flag indicating whether the source is extended",
    "sharpness": "The DAOFind source sharpness statistic",
    "roundness": "The DAOFind source roundness statistic",
    "nn_label": "The label number of the nearest neighbor",
    "nn_dist": "The distance in pixels to the nearest neighbor",
}
_AXIS = (
    "1-sigma standard deviation along the {} axis of the 2D Gaussian function that has the same "
    "second-order central moments as the source"
)
_CORNER = "Sky coordinate of the {} vertex of the minimal bounding box of the source"
_LAST = {
    "isophotal_flux": "Isophotal flux",
    "isophotal_flux_err": "Isophotal flux error",
    "isophotal_abmag": "Isophotal AB magnitude",
    "isophotal_abmag_err": "Isophotal AB magnitude error",
    "isophotal_vegamag": "Isophotal Vega magnitude",
    "isophotal_vegamag_err": "Isophotal Vega magnitude error",
    "isophotal_area": "Isophotal area",
    "semimajor_sigma": _AXIS.format("semimajor"),
    "semiminor_sigma": _AXIS.format("semiminor"),
    "ellipticity": "1 minus the ratio of the 1-sigma lengths of the semimajor and semiminor axes",
    "orientation": "The angle (degrees) between the positive X axis and the major axis (increases "
    "counter-clockwise)",
    "sky_orientation": "The position angle (degrees) from North of the major axis",
    "sky_bbox_ll": _CORNER.format("lower-left"),
    "sky_bbox_ul": _CORNER.format("upper-left"),
    "sky_bbox_lr": _CORNER.format("lower-right"),
    "sky_bbox_ur": _CORNER.format("upper-right"),
}
_KINDS = {
    "flux": ("Flux", "flux"),
    "abmag": ("AB magnitude", "AB magnitude"),
    "vegamag": ("Vega magnitude", "Vega magnitude"),
}
_SIX_DIGITS = frozenset(
    [
        *("nn_dist", "sharpness", "roundness", "semimajor_sigma", "semiminor_sigma"),
        *("ellipticity", "orientation", "sky_orientation"),
    ]
)


def concentrations(energies: Energies) -> dict[str, tuple[int, int]]:
    """Return the names of the ratios of fluxes, and the apertures that they are the ratios of."""
    pairs = ((1, 0), (2, 1), (2, 0))
    return {f"CI_{energies[large]}_{energies[small]}": (large, small) for large, small in pairs}


def descriptions(energies: Energies) -> dict[str, str]:
    """Return the columns of a catalogue in order, each with its description.

    Parameters
    ----------
    energies : sequence of int
        Percentages of the light that the apertures hold.
    """
    found = {**_FIRST, **_BACKGROUND}
    for kind, (long, short) in _KINDS.items():
        for energy in energies:
            place = f"within the {energy}% encircled energy circular aperture"
            found[f"aper{energy}_{kind}"] = f"{long} {place}"
            found[f"aper{energy}_{kind}_err"] = f"{long} error {place}"
        for suffix, word in (("", ""), ("_err", " error")):
            found[f"aper_total_{kind}{suffix}"] = (
                f"Total aperture-corrected {short}{word} based on the {energies[-1]}% encircled "
                "energy circular aperture; should be used only for unresolved sources."
            )
    for name, (large, small) in concentrations(energies).items():
        ratio = f"aper{energies[large]}_flux / aper{energies[small]}_flux"
        found[name] = f"Concentration index calculated as ({ratio})"
    return {**found, **_SHAPE, **_LAST}


def catalogue(values: Mapping[str, Any], energies: Energies, meta: Mapping[str, Any]) -> Any:
    """Put columns together.

    Parameters
    ----------
    values : mapping
        Name to an array, a `Quantity` or coordinates; one number stands for all sources.
    energies : sequence of int
    meta : mapping
        Of the catalogue.

    Returns
    -------
    astropy.table.QTable
    """
    from astropy.table import QTable

    table = QTable()
    for name, description in descriptions(energies).items():
        table[name] = values[name]
        table[name].info.description = description
        digits = _format(name)
        if digits:
            table[name].info.format = digits
    table.meta.update(meta)
    return table


def _format(name: str) -> str | None:
    if name in _SIX_DIGITS or "abmag" in name or "vegamag" in name:
        return ".6f"
    if "flux" in name:
        return ".6e"
    return ".4f" if name in ("xcentroid", "ycentroid") or "CI_" in name else None
