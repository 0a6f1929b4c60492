"""Follow a moving target."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from jwgpu.errors import InputError
from jwgpu.models.library import Library
from jwgpu.steps.assign_wcs import IMAGING
from jwgpu.steps.base import param
from jwgpu.steps.library_step import LibraryStep
from jwgpu.wcs.imaging import footprint
from jwgpu.wcs.moving import MOVING_TARGET, with_moving_target

log = logging.getLogger(__name__)

#: Half of the sky, in degrees: right ascensions that are farther apart lie on both sides of 0.
_HALF = 180.0


class AssignMTWcsStep(LibraryStep):
    """Shift the geometry of exposures so that a moving target is at one place in all of them.

    That place is the mean of where it was in each science exposure (MT_RA, MT_DEC); it goes to
    MT_AVRA and MT_AVDEC. Nothing changes where one of them does not tell.
    """

    class_alias = "assign_mtwcs"

    suffix: str = param("assign_mtwcs", help="Suffix of the products")
    output_use_model: bool = param(True, help="Name products after the images")

    def correct(self, library: Library) -> None:
        """Append the frame ``moving_target`` to the geometry of each science exposure.

        Parameters
        ----------
        library : Library
            Exposures with their geometry.

        Raises
        ------
        InputError
            If one lacks its geometry, or has that frame already.
        """
        science = library.indices_of("science")
        places: dict[int, tuple[Any, Any]] = {}

        def look(model: Any, index: int) -> None:
            meta, info = model.meta, model.meta.wcsinfo
            if index not in science or info.mt_ra is None or info.mt_dec is None:
                return
            if not meta.hasattr("wcs") or meta.wcs is None:
                raise InputError(f"{meta.filename}: has no geometry; run assign_wcs first")
            if MOVING_TARGET in meta.wcs.available_frames:
                raise InputError(
                    f"{meta.filename}: its geometry is that of a moving target already; take the "
                    "exposure as it was before"
                )
            places[index] = info.mt_ra, info.mt_dec

        library.describe(look)
        if len(places) < len(science):
            # Quirk: the status is COMPLETE all the same.
            log.warning(
                "assign_mtwcs: MT_RA or MT_DEC is missing in %d of %d exposures: the target is not "
                "followed",
                len(science) - len(places),
                len(science),
            )
        elif places:
            self._follow(library, places)

    def _follow(self, library: Library, places: dict[int, tuple[Any, Any]]) -> None:
        """Shift the geometry of the exposures whose target's places are given."""
        all_places = np.array(list(places.values()), np.float64)
        if np.ptp(all_places[:, 0]) > _HALF:
            log.warning(
                "assign_mtwcs: the target crosses right ascension 0, which its mean does not know: "
                "the mosaic will lie on the other side of the sky"
            )
        ra, dec = (float(mean) for mean in (all_places[:, k].mean() for k in (0, 1)))
        log.info("assign_mtwcs: the target is at %.6f, %.6f on average", ra, dec)

        def shift(model: Any, index: int) -> None:
            if index not in places:
                return
            meta, (own_ra, own_dec) = model.meta, places[index]
            meta.wcs = with_moving_target(meta.wcs, ra - own_ra, dec - own_dec)
            meta.wcsinfo.mt_avra, meta.wcsinfo.mt_avdec = ra, dec
            outline = footprint(meta.wcs) if meta.exposure.type in IMAGING else None
            if outline is not None:
                meta.wcsinfo.s_region = outline

        library.describe(shift)
