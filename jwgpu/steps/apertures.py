"""Circular apertures of an image, from its references."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import NotYetError, ParameterError
from jwgpu.references.types import ABVegaOffsetReference, ApcorrReference
from jwgpu.steps.base import SkipStep

log = logging.getLogger(__name__)

#: What the rows of the references are chosen by.
_APERTURES_BY = {
    "NIRCAM": ("filter", "pupil"),
    "NIRISS": ("filter", "pupil"),
    "MIRI": ("filter", "subarray"),
    "FGS": (),
}
_OFFSET_BY = {**_APERTURES_BY, "MIRI": ("filter",), "FGS": ("detector",)}


@dataclass(frozen=True)
class Apertures:
    """Three circles and a ring around each source.

    Attributes
    ----------
    energies : ndarray, (3,) int64
        Share of a point source's light within each circle, in percent.
    radii : ndarray, (3,) float64
        In pixels of the image.
    corrections : ndarray, (3,) float64
        All light of a point source over that within.
    inner, outer : float
        Radii of the ring, in pixels of the image.
    """

    energies: NDArray[np.int64]
    radii: NDArray[Any]
    corrections: NDArray[Any]
    inner: Any
    outer: Any

    def described(self) -> dict[str, Any]:
        """Return them as the metadata of a catalogue have them."""
        return {
            "aperture_ee": self.energies,
            "aperture_radii": self.radii,
            "aperture_corrections": self.corrections,
            "bkg_aperture_inner_radius": self.inner,
            "bkg_aperture_outer_radius": self.outer,
        }


def checked_energies(energies: Sequence[int]) -> NDArray[np.int64]:
    """Return the shares of light that apertures shall hold, in percent.

    Raises
    ------
    ParameterError
        If they do not increase, or are no percentages.
    """
    found = np.array(energies, np.int64)
    shown = ", ".join(map(str, energies))
    if (np.diff(found) <= 0).any():
        raise ParameterError(f"aperture_ee1 to 3 are {shown}: each must be larger than the last")
    if (found <= 0).any() or (found >= 100).any():
        raise ParameterError(f"aperture_ee1 to 3 are {shown}: they must be between 0 and 100")
    return found


def apertures_of(meta: Any, apcorr: ApcorrReference, energies: Sequence[int]) -> Apertures:
    """Choose the apertures of an image.

    Parameters
    ----------
    meta : ObjectNode
        Its metadata.
    apcorr : ApcorrReference
    energies : sequence of int
        Shares of light, in percent.

    Raises
    ------
    SkipStep
        If the reference does not have exactly one of each.
    """
    wanted = checked_energies(energies)
    rows = _matching(apcorr.table, _chosen_by(meta, _APERTURES_BY), apcorr.path)
    if not len(rows):
        raise SkipStep(f"{apcorr.path} has no apertures for {_told(meta, _APERTURES_BY)}")
    percent = np.round(apcorr.table["eefraction"][rows] * 100)
    found = []
    for energy in wanted:
        row = rows[percent == energy]
        if len(row) != 1:
            raise SkipStep(
                f"{apcorr.path} has {len(row)} apertures with {energy} % of the light for "
                f"{_told(meta, _APERTURES_BY) or 'the image'}; it must have one"
            )
        found.append(int(row[0]))
    columns = {name: list(apcorr.table[name][found]) for name in ("radius", "apcorr")}
    sky = [np.unique(apcorr.table[name][found]) for name in ("skyin", "skyout")]
    if any(len(radii) != 1 for radii in sky):
        raise SkipStep(f"{apcorr.path} has rings (SKYIN, SKYOUT) that differ between apertures")
    scale = meta.resample.pixel_scale_ratio
    if scale is None:
        log.warning("%s: no PXSCLRT: pixels count as those of the detector", meta.filename)
        scale = 1.0
    return Apertures(
        wanted,
        np.array(columns["radius"]) / scale,
        np.array(columns["apcorr"]),
        sky[0][0] / scale,
        sky[1][0] / scale,
    )


def vega_offset_of(meta: Any, abvegaoffset: ABVegaOffsetReference) -> Any:
    """Return what to subtract from an AB magnitude to get a Vega magnitude.

    Raises
    ------
    SkipStep
        If the reference does not have exactly one for the image.
    """
    rows = _matching(abvegaoffset.table, _chosen_by(meta, _OFFSET_BY), abvegaoffset.path)
    if len(rows) != 1:
        raise SkipStep(
            f"{abvegaoffset.path} has {len(rows)} offsets for {_told(meta, _OFFSET_BY)}; "
            "it must have one"
        )
    return abvegaoffset.table["abvega_offset"][rows[0]]


def _chosen_by(meta: Any, names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the keywords that rows are chosen by, and their values."""
    instrument = str(meta.instrument.name)
    if instrument not in names:
        raise NotYetError(f"{meta.filename}: source_catalog does not know images of {instrument}")
    values = {
        "filter": meta.instrument.filter,
        "pupil": meta.instrument.pupil,
        "detector": meta.instrument.detector,
        "subarray": meta.subarray.name,
    }
    return {name: values[name] for name in names[instrument]}


def _told(meta: Any, names: Mapping[str, tuple[str, ...]]) -> str:
    chosen = _chosen_by(meta, names)
    return ", ".join(f"{name} {value}" for name, value in chosen.items())


def _matching(table: Mapping[str, Any], chosen: dict[str, Any], path: str) -> NDArray[np.intp]:
    """Return the rows of a table that have all these values."""
    missing = [name for name in chosen if name not in table]
    if missing:
        raise SkipStep(f"{path} has no column {missing[0]}")
    matches = np.ones(len(next(iter(table.values()))), bool)
    for name, value in chosen.items():
        matches &= np.asarray(table[name], dtype=str) == str(value)
    return np.flatnonzero(matches)
