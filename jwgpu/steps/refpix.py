"""Remove the drift of the readout with the reference pixels."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from jwgpu.errors import InputError, NotYetError
from jwgpu.kernels.reference_pixels import subtract_drift, subtract_drift_from_differences
from jwgpu.kernels.reference_pixels.layout import (
    DETECTOR_SIZE,
    NearInfraredLayout,
    Placement,
    four_amplifier_layout,
    mid_infrared_sections,
    single_amplifier_layout,
)
from jwgpu.models.flags import DO_NOT_USE, REFERENCE_PIXEL
from jwgpu.models.ramp import Ramp
from jwgpu.steps.base import INTEGRATIONS, RampStep, SkipStep, param

log = logging.getLogger(__name__)

MIRI_SHAPE = (1024, 1032)

#: NIRSpec subarrays without reference pixels: their first and last four columns stand in for them.
WITHOUT_BORDER = ("SUB512", "SUB512S", "SUB32")


class RefPixStep(RampStep):
    """Subtract from every group the drift that its reference pixels show."""

    class_alias = "refpix"
    cut = INTEGRATIONS
    # Both belong to modes that are refused below: nothing is fetched, overrides are accepted.
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

    def correct(self, ramp: Ramp) -> None:
        """Correct the groups, and the zero frames alike; flags stay as they are.

        Without usable reference pixels nothing is subtracted and the status is still COMPLETE, as
        in jwst 3.0 (its documents say SKIPPED).

        Parameters
        ----------
        ramp : Ramp
            Exposure; ``data`` and ``zeroframe`` are changed.

        Raises
        ------
        SkipStep
            For MIRI subarrays, and subarrays that are not within the detector.
        InputError
            If the keywords of the subarray are missing or do not fit the image.
        NotYetError
            For IRS2 readout, multistripe subarrays and the algorithm ``sirs``.
        """
        rows, columns = ramp.image_shape
        _refuse_striped_and_irs2(ramp.meta.subarray, max(rows, columns))
        if str(ramp.meta.instrument.name).upper() == "MIRI":
            self._correct_mid_infrared(ramp)
            return
        if self.refpix_algorithm == "sirs":
            self._refuse_sirs(ramp.meta.subarray.name)
        layout = self._layout(ramp)
        if layout.pixels.size == 0 and layout.side_pixels.size == 0:
            log.warning("there are no good reference pixels: nothing is subtracted")
            return
        self._subtract(ramp.data.reshape(-1, rows, columns), layout)
        if ramp.zeroframe is not None and ramp.meta.exposure.zero_frame:
            is_empty = ramp.zeroframe == 0.0
            self._subtract(ramp.zeroframe, layout)
            # Exactly zero means "no value", and is to stay so.
            ramp.zeroframe[is_empty] = 0.0

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

    def _layout(self, ramp: Ramp) -> NearInfraredLayout:
        """Return where the reference pixels of a near-infrared exposure are."""
        place = _placement(ramp)
        is_full_frame = ramp.image_shape == (DETECTOR_SIZE, DETECTOR_SIZE)
        if is_full_frame or ramp.meta.exposure.noutputs == 4:
            good = (ramp.pixeldq & DO_NOT_USE) == 0
            return four_amplifier_layout(
                good, place, odd_even=self.odd_even_columns, use_sides=self.use_side_ref_pixels
            )
        flags = ramp.pixeldq & (REFERENCE_PIXEL | DO_NOT_USE)
        if ramp.meta.subarray.name in WITHOUT_BORDER:
            log.info("%s has no border: outer columns stand in for it", ramp.meta.subarray.name)
            flags[:, :4] |= REFERENCE_PIXEL
            flags[:, -4:] |= REFERENCE_PIXEL
        return single_amplifier_layout(
            flags == REFERENCE_PIXEL, place, odd_even=self.odd_even_columns
        )

    def _subtract(self, images: Any, layout: NearInfraredLayout) -> None:
        subtract_drift(images, layout, self.siglimit, self.side_smoothing_length, self.side_gain)

    def _refuse_sirs(self, subarray: Any) -> None:
        """Raise for full frames; subarrays take the running median, as in the official package."""
        if "FULL" in str(subarray):
            raise NotYetError("refpix_algorithm=sirs is not there yet: use refpix_algorithm=median")
        log.info("refpix_algorithm sirs does not apply to subarrays: using the running median")


def _refuse_striped_and_irs2(subarray: Any, longest_axis: int) -> None:
    if longest_axis > DETECTOR_SIZE:
        raise NotYetError(
            "refpix cannot correct NIRSpec IRS2 readout yet: use --steps.refpix.skip=true"
        )
    is_multistripe = getattr(subarray, "multistripe_reads1", None) is not None
    if is_multistripe or (getattr(subarray, "num_superstripe", None) or 0) > 0:
        raise NotYetError(
            "refpix cannot correct multistripe subarrays yet: use --steps.refpix.skip=true"
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
