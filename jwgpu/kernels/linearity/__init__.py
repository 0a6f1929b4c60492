"""Straightening ramps: the polynomial that turns measured into true counts."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation


def straighten(
    data: Any, groupdq: Any, pixeldq: Any, coefficients: Any, coefficients_dq: Any
) -> None:
    """Apply each pixel's polynomial to its samples, except those that are saturated.

    ``F_c = c_0 + c_1 F + c_2 F^2 + ... + c_n F^n``, by Horner's rule in single precision. A pixel
    whose coefficients are flagged NO_LIN_CORR, hold a NaN, or have no linear term keeps its
    samples and is flagged NO_LIN_CORR.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples, in DN, changed in place.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of each sample; SATURATED ones are left alone. Not changed.
    pixeldq : array, (y, x) uint32
        Flags of each pixel: gets those of the coefficients, and NO_LIN_CORR.
    coefficients : array, (n + 1, y, x) float32
        Constant term first; at least two.
    coefficients_dq : array, (y, x) uint32
        Flags of the coefficients.

    Notes
    -----
    "Linearity Correction" in the JWST calibration documents; WFC3 Data Handbook 2.1 (2011), 6.5.
    """
    implementation(__name__, data, groupdq, pixeldq, coefficients, coefficients_dq).straighten(
        data, groupdq, pixeldq, coefficients, coefficients_dq
    )


def straighten_reads(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    coefficients: Any,
    inverse_coefficients: Any,
    coefficients_dq: Any,
    frames: int,
) -> None:
    """Straighten groups that are the mean of several frames, frame by frame.

    The mean of straightened frames is not the straightened mean. So a straight line through the
    first and the last but one unsaturated group foretells the true counts of each frame; the
    inverse polynomial turns them into measured counts, which are shifted so that their mean is
    the sample; each is straightened, and their mean replaces the sample. In double precision from
    the slope on.

    Parameters
    ----------
    data, groupdq, pixeldq, coefficients, coefficients_dq
        As in `straighten`; two groups or more.
    inverse_coefficients : array, (m + 1, y, x) float32
        From true to measured counts, constant term first; at least two. A pixel where they hold a
        NaN or have no linear term counts as straight on the way back, and is flagged NO_LIN_CORR.
    frames : int
        Frames in a group, one right after the other, no gap between groups.

    Notes
    -----
    As release 3.0 of the official package has it; the documents of 1.13 do not know it yet.
    """
    implementation(
        __name__, data, groupdq, pixeldq, coefficients, inverse_coefficients, coefficients_dq
    ).straighten_reads(
        data, groupdq, pixeldq, coefficients, inverse_coefficients, coefficients_dq, frames
    )


def straighten_zeroframe(zeroframe: Any, coefficients: Any, coefficients_dq: Any) -> None:
    """Apply each pixel's polynomial to frame zero; 0 marks a bad value and stays 0.

    Parameters
    ----------
    zeroframe : array, (ints, y, x) float32
        First frame of each integration, in DN, changed in place.
    coefficients, coefficients_dq
        As in `straighten`.
    """
    implementation(__name__, zeroframe, coefficients, coefficients_dq).straighten_zeroframe(
        zeroframe, coefficients, coefficients_dq
    )
