"""Data-quality flags of JWST by their official names.

The numbers are those of the data-quality table of the JWST calibration documents ("Data Quality
Flags"). A group's flags (``groupdq``, uint8) are the eight lowest bits; a pixel's flags
(``pixeldq``, ``dq``, uint32) are all of them.
"""

from __future__ import annotations

from typing import Final

from jwgpu.errors import ParameterError

GOOD: Final = 0  # no flag is set: nothing is wrong
DO_NOT_USE: Final = 1 << 0
SATURATED: Final = 1 << 1
JUMP_DET: Final = 1 << 2
DROPOUT: Final = 1 << 3  # data lost between telescope and ground
OUTLIER: Final = 1 << 4
PERSISTENCE: Final = 1 << 5
AD_FLOOR: Final = 1 << 6  # below the floor of the analogue-to-digital converter
CHARGELOSS: Final = 1 << 7  # charge migrated to a neighbour
RESERVED: Final = 1 << 8
NON_SCIENCE: Final = 1 << 9  # not on the science part of the detector
DEAD: Final = 1 << 10
HOT: Final = 1 << 11
WARM: Final = 1 << 12
LOW_QE: Final = 1 << 13
RC: Final = 1 << 14
TELEGRAPH: Final = 1 << 15
NONLINEAR: Final = 1 << 16
BAD_REF_PIXEL: Final = 1 << 17
NO_FLAT_FIELD: Final = 1 << 18
NO_GAIN_VALUE: Final = 1 << 19
NO_LIN_CORR: Final = 1 << 20
NO_SAT_CHECK: Final = 1 << 21
UNRELIABLE_BIAS: Final = 1 << 22
UNRELIABLE_DARK: Final = 1 << 23
UNRELIABLE_SLOPE: Final = 1 << 24
UNRELIABLE_FLAT: Final = 1 << 25
OPEN: Final = 1 << 26
ADJ_OPEN: Final = 1 << 27
FLUX_ESTIMATED: Final = 1 << 28
MSA_FAILED_OPEN: Final = 1 << 29
OTHER_BAD_PIXEL: Final = 1 << 30
REFERENCE_PIXEL: Final = 1 << 31

PIXEL: Final[dict[str, int]] = {
    name: value for name, value in globals().items() if name.isupper() and isinstance(value, int)
}
"""Every flag by name, in the order of its bit: what a pixel may carry."""

GROUP: Final[dict[str, int]] = {
    name: PIXEL[name]
    for name in (
        "GOOD",
        "DO_NOT_USE",
        "SATURATED",
        "JUMP_DET",
        "DROPOUT",
        "PERSISTENCE",
        "AD_FLOOR",
        "CHARGELOSS",
    )
}
"""The flags that a group of a ramp may carry: those of the lowest eight bits, without OUTLIER."""


def bad_flags(parameter: str, good_bits: str | int | None) -> int:
    """Return the flags of pixels that do not count.

    Parameters
    ----------
    parameter : str
        Whose value `good_bits` is.
    good_bits : str, int or None
        Flags that do no harm, by name or number, joined by ``+`` or ``,``; after a ``~`` all the
        others. None: no flag does harm.

    Raises
    ------
    ParameterError
        If it makes no sense.
    """
    from astropy.nddata.bitmask import interpret_bit_flags

    try:
        good = interpret_bit_flags(good_bits, flag_name_map=PIXEL)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(
            f"{parameter}={good_bits}: it names no flags ({error}); give names or numbers joined "
            "by +"
        ) from None
    return 0 if good is None else ~int(good) & 0xFFFFFFFF
