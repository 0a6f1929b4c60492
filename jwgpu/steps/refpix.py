"""Remove the drift of the readout with the reference pixels."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from jwgpu.errors import InputError
from jwgpu.kernels.reference_pixels import subtract_drift, subtract_drift_from_differences
from jwgpu.kernels.reference_pixels.layout import (
    DETECTOR_SIZE,
    NearInfraredLayout,
    Placement,
    four_amplifier_layout,
    mid_infrared_sections,
    single_amplifier_layout,
    striped_layout,
)
from jwgpu.kernels.sirs import convolution_kernels, subtract_template
from jwgpu.models.flags import DO_NOT_USE, REFERENCE_PIXEL
from jwgpu.models.ramp import Ramp
from jwgpu.models.stripes import count_superstripes, is_striped
from jwgpu.models.superstripes import collate
from jwgpu.references.types import RefPixReference, SirsKernelReference
from jwgpu.steps import irs2
from jwgpu.steps.base import INTEGRATIONS, RampStep, SkipStep, param
from jwgpu.steps.readout import is_interleaved, layout_of

log = logging.getLogger(__name__)

MIRI_SHAPE = (1024, 1032)

#: Memory of superstripes that are put together, as a share of the stripes': lines may be read
#: twice, and lines between them come with them.
_COPY = 2.0

#: NIRSpec subarrays without reference pixels: their first and last four columns stand in for them.
WITHOUT_BORDER = ("SUB512", "SUB512S", "SUB32")


class RefPixStep(RampStep):
    """Subtract from every group the drift that its reference pixels show."""

    class_alias = "refpix"
    cut = INTEGRATIONS
    superstripes = "together"
    # Only what the exposure's mode needs is looked for, see `needed_references`.
    reference_file_types: ClassVar = ["refpix", "sirskernel"]

    odd_even_columns: bool = param(True, help="near-IR: odd and even columns have their own offset")
    use_side_ref_pixels: bool = param(True, help="near-IR: subtract a signal for each row, too")
    side_smoothing_length: int = param(
        11, low=1, high=2 * DETECTOR_SIZE - 1, help="rows in the running median of the side pixels"
    )
    side_gain: float = param(1.0, help="factor on the side signal")
    odd_even_rows: bool = param(True, help="MIRI: odd and even rows have their own offset")
    ovr_corr_mitigation_ftr: float = param(
        3.0, help="IRS2: sigmas beyond which a reference pixel counts as bad"
    )
    preserve_irs2_refpix: bool = param(False, help="IRS2: keep the reference pixels in the product")
    irs2_mean_subtraction: bool = param(False, help="IRS2: first subtract a mean offset")
    refpix_algorithm: str = param(
        "median", options=("median", "sirs"), help="how the side signal of a full frame is found"
    )
    sigreject: float = param(4.0, help="sirs: sigmas beyond which a value is left out")
    gaussmooth: float = param(1.0, help="sirs: width of the Gaussian low-pass filter")
    halfwidth: int = param(30, help="sirs: half the width of the convolution kernel")
    siglimit: float = param(3.0, help="sigmas beyond which a reference pixel is clipped")

    def needed_references(self, meta: Any, shape: tuple[int, ...] = ()) -> dict[str, type]:
        """Return REFPIX for IRS2, SIRSKERNEL for full frames with the algorithm ``sirs``."""
        needed = ""
        if max(shape) > DETECTOR_SIZE if shape else "IRS2" in str(meta.exposure.readpatt):
            needed = "refpix"
        elif self.refpix_algorithm == "sirs" and str(meta.instrument.name).upper() != "MIRI":
            needed = "sirskernel" if "FULL" in str(meta.subarray.name) else ""
        return {name: kind for name, kind in self.reference_classes.items() if name == needed}

    def surveys(self, exposure: Ramp) -> bool:
        """Return whether this exposure is surveyed: a row of IRS2 is bad in all integrations."""
        return is_interleaved(exposure)

    def changes_shape(self, exposure: Ramp) -> bool:
        """Return whether rows of IRS2 are taken away, or superstripes put together."""
        is_stripped = is_interleaved(exposure) and not self.preserve_irs2_refpix
        return is_stripped or count_superstripes(exposure.meta) > 0

    def memory_beside(self, exposure: Ramp) -> float:
        """Return the memory that a part takes beside itself: superstripes are copied."""
        return _COPY if count_superstripes(exposure.meta) else 0.0

    def correct(
        self,
        ramp: Ramp,
        refpix: RefPixReference | None = None,
        sirskernel: SirsKernelReference | None = None,
    ) -> None:
        """Correct the groups, and the zero frames alike; put superstripes together.

        Flags stay as they are, except with IRS2. Without usable reference pixels nothing is
        subtracted and the status is still COMPLETE, as in jwst 3.0 (its documents say SKIPPED).

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data`` and ``zeroframe`` are changed. With IRS2 bad reference pixels are
            flagged in ``pixeldq``, and all arrays lose the rows of reference pixels.
        refpix : RefPixReference, optional
            What IRS2 needs.
        sirskernel : SirsKernelReference, optional
            What the algorithm ``sirs`` needs; without it, the running median is used.

        Raises
        ------
        SkipStep
            For MIRI subarrays, subarrays that are not within the detector, and IRS2 without
            reference.
        InputError
            If the keywords of the subarray are missing or do not fit the image.
        """
        self.correct_undivided(ramp, refpix=refpix, sirskernel=sirskernel)

    def survey(self, *exposure: Ramp, **references: Any) -> Any:
        """Return the bad rows of IRS2, (y,) bool on the host; None otherwise."""
        del references
        (ramp,) = exposure
        if not is_interleaved(ramp):
            return None
        return irs2.find_bad_rows(ramp, layout_of(ramp), self.ovr_corr_mitigation_ftr)

    def correct_part(self, part: Ramp, *survey: Any, **references: Any) -> None:
        """Correct some integrations; see `correct`."""
        ramp, (is_bad,) = part, survey
        refpix, sirskernel = references.get("refpix"), references.get("sirskernel")
        if str(ramp.meta.instrument.name).upper() == "MIRI":
            self._correct_mid_infrared(ramp)
            return
        if is_bad is not None:
            self._correct_interleaved(ramp, is_bad, refpix)
            return
        kernels = self._convolution_kernels(ramp, sirskernel)
        layout = self._layout(ramp, with_sides=kernels is None)
        if layout.pixels.size == 0 and layout.side_pixels.size == 0 and kernels is None:
            log.warning("there are no good reference pixels: nothing is subtracted")
        else:
            self._subtract_from_all(ramp, layout, kernels)
        collate(ramp)

    def _subtract_from_all(self, ramp: Ramp, layout: NearInfraredLayout, kernels: Any) -> None:
        rows, columns = ramp.image_shape
        self._subtract(ramp, ramp.data.reshape(-1, rows, columns), layout, kernels)
        if ramp.zeroframe is not None and ramp.meta.exposure.zero_frame:
            is_empty = ramp.zeroframe == 0.0
            self._subtract(ramp, ramp.zeroframe, layout, kernels)
            # Exactly zero means "no value", and is to stay so.
            ramp.zeroframe[is_empty] = 0.0

    def _correct_interleaved(self, ramp: Ramp, is_bad: Any, refpix: RefPixReference | None) -> None:
        layout = layout_of(ramp)
        irs2.flag_bad_rows(ramp, is_bad)
        if self.irs2_mean_subtraction:
            sections = irs2.mean_layout(ramp, layout, odd_even=self.odd_even_columns)
            arrays = [ramp.data.reshape(-1, *ramp.image_shape)]
            if irs2.has_zero_frame(ramp):
                is_empty = ramp.zeroframe == 0.0
                arrays.append(ramp.zeroframe)
            for images in arrays:
                subtract_drift(images, sections, self.siglimit, 1, 0.0)
            if irs2.has_zero_frame(ramp):
                ramp.zeroframe[is_empty] = 0.0
        irs2.replace_bad_rows(ramp, layout)
        if refpix is None:
            raise SkipStep("IRS2 needs a REFPIX reference, and that is N/A")
        irs2.replace_listed_rows(ramp, layout, refpix)
        keep = self.preserve_irs2_refpix
        irs2.subtract_references(ramp, layout, refpix, keep_reference=keep)
        if not keep:
            irs2.strip_references(ramp, layout)

    def _correct_mid_infrared(self, ramp: Ramp) -> None:
        rows, columns = ramp.image_shape
        if rows < MIRI_SHAPE[0] or columns < MIRI_SHAPE[1]:
            raise SkipStep("MIRI subarrays are not corrected")
        if self.refpix_algorithm == "sirs":
            log.info("refpix_algorithm sirs does not apply to MIRI")
        good = (ramp.pixeldq & DO_NOT_USE) == 0
        sections = mid_infrared_sections(good, odd_even=self.odd_even_rows)
        if sections is None:
            log.warning("an amplifier has no good reference pixels: nothing is subtracted")
            return
        subtract_drift_from_differences(ramp.data, sections, self.siglimit)

    def _layout(self, ramp: Ramp, *, with_sides: bool) -> NearInfraredLayout:
        """Return where the reference pixels of a near-infrared exposure are."""
        is_full_frame = ramp.image_shape == (DETECTOR_SIZE, DETECTOR_SIZE)
        if is_striped(ramp.meta) and not is_full_frame:
            return self._layout_of_stripes(ramp)
        place = _placement(ramp)
        if is_full_frame or ramp.meta.exposure.noutputs == 4:
            good = (ramp.pixeldq & DO_NOT_USE) == 0
            use_sides = self.use_side_ref_pixels and with_sides
            return four_amplifier_layout(
                good, place, odd_even=self.odd_even_columns, use_sides=use_sides
            )
        flags = ramp.pixeldq & (REFERENCE_PIXEL | DO_NOT_USE)
        if ramp.meta.subarray.name in WITHOUT_BORDER:
            log.info("%s has no border: outer columns stand in for it", ramp.meta.subarray.name)
            flags[:, :4] |= REFERENCE_PIXEL
            flags[:, -4:] |= REFERENCE_PIXEL
        return single_amplifier_layout(
            flags == REFERENCE_PIXEL, place, odd_even=self.odd_even_columns
        )

    def _layout_of_stripes(self, ramp: Ramp) -> NearInfraredLayout:
        # Parity: in all superstripes the reference pixels that are good are those of the first
        # one. The official package means to take each one's own, but counts them wrongly.
        flags = ramp.pixeldq[0] if ramp.pixeldq.ndim == 3 else ramp.pixeldq
        subarray = ramp.meta.subarray
        place = Placement(*ramp.image_shape, 0, 0, subarray.fastaxis, subarray.slowaxis)
        start = (subarray.xstart if place.fast_along_x else subarray.ystart) - 1
        if start < 0 or start + place.n_fast > DETECTOR_SIZE:
            raise InputError(
                f"{ramp.meta.filename}: lines of {place.n_fast} pixels from {start + 1} on are not "
                "within the detector: correct SUBSTRT1, SUBSTRT2"
            )
        usable = (flags & (REFERENCE_PIXEL | DO_NOT_USE)) == REFERENCE_PIXEL
        return striped_layout(usable, place, start, odd_even=self.odd_even_columns)

    def _subtract(self, ramp: Ramp, images: Any, layout: NearInfraredLayout, kernels: Any) -> None:
        subtract_drift(images, layout, self.siglimit, self.side_smoothing_length, self.side_gain)
        if kernels is not None:
            subtract_template(images, kernels, _placement(ramp), self.sigreject)

    def _convolution_kernels(self, ramp: Ramp, sirskernel: SirsKernelReference | None) -> Any:
        """Return the kernels of the algorithm ``sirs``, None to use the running median."""
        if self.refpix_algorithm != "sirs" or not self.use_side_ref_pixels:
            return None
        is_full_frame = ramp.image_shape == (DETECTOR_SIZE, DETECTOR_SIZE)
        if "FULL" not in str(ramp.meta.subarray.name) or not is_full_frame:
            log.info("refpix_algorithm sirs does not apply to subarrays: using the running median")
            return None
        if sirskernel is None or sirskernel.gamma is None:
            log.warning(
                "there is no SIRSKERNEL reference for %s: using the running median",
                ramp.meta.instrument.detector,
            )
            return None
        return convolution_kernels(
            sirskernel.gamma, sirskernel.zeta, float(self.gaussmooth), int(self.halfwidth)
        )


def _placement(ramp: Ramp) -> Placement:
    """Return how the image lies on the detector."""
    rows, columns = ramp.image_shape
    is_full_frame = (rows, columns) == (DETECTOR_SIZE, DETECTOR_SIZE)
    subarray = ramp.meta.subarray
    needed = {"fastaxis": "FASTAXIS", "slowaxis": "SLOWAXIS"}
    if not is_full_frame:
        needed |= {"xstart": "SUBSTRT1", "ystart": "SUBSTRT2"}
        needed |= {"xsize": "SUBSIZE1", "ysize": "SUBSIZE2"}
    for name, keyword in needed.items():
        if getattr(subarray, name) is None:
            raise InputError(
                f"{ramp.meta.filename}: keyword {keyword} is missing, which tells where the "
                "reference pixels are: add it"
            )
    if is_full_frame:
        return Placement(rows, columns, 0, 0, subarray.fastaxis, subarray.slowaxis)
    if (subarray.ysize, subarray.xsize) != (rows, columns):
        raise InputError(
            f"{ramp.meta.filename}: images have {rows} rows and {columns} columns, but SUBSIZE2 "
            f"and SUBSIZE1 are {subarray.ysize} and {subarray.xsize}: correct the keywords"
        )
    row, column = subarray.ystart - 1, subarray.xstart - 1
    if min(row, column) < 0 or row + rows > DETECTOR_SIZE or column + columns > DETECTOR_SIZE:
        raise SkipStep("the subarray is not within the detector")
    return Placement(rows, columns, row, column, subarray.fastaxis, subarray.slowaxis)
