"""Detectors of JWST: their size, their read-out directions and where they look.

Read-out directions are those of the table "Correct values for FASTAXIS and SLOWAXIS" in the JWST
calibration documents; positions in the telescope's focal plane are those of the public SIAF.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REFERENCE_BORDER = 4
"""Width of the frame of light-blind reference pixels, in pixels."""


@dataclass(frozen=True)
class Detector:
    """One detector as it appears in science (not read-out) orientation."""

    instrument: str
    name: str
    fast_axis: int  # read-out direction of amplifier 1: +-1 along x, +-2 along y
    slow_axis: int
    v2_ref: float  # arcsec, of the centre of the detector
    v3_ref: float  # arcsec
    v3i_yang: float  # deg, from the V3 axis to the detector's y axis
    pixel_scale: float  # arcsec
    sca_number: int
    gain: float  # e-/DN
    read_noise: float  # e-, of one single read

    @property
    def xsize(self) -> int:
        """Columns of a full frame."""
        return 1032 if self.is_mid_infrared else 2048

    @property
    def ysize(self) -> int:
        """Rows of a full frame."""
        return 1024 if self.is_mid_infrared else 2048

    @property
    def is_mid_infrared(self) -> bool:
        """Whether this is one of MIRI's Si:As detectors."""
        return self.instrument == "MIRI"

    @property
    def channel(self) -> str | None:
        """What the CHANNEL keyword says."""
        if self.instrument == "NIRCAM":
            return "LONG" if self.name.endswith("LONG") else "SHORT"
        return {"MIRIFUSHORT": "12", "MIRIFULONG": "34"}.get(self.name)

    @property
    def module(self) -> str | None:
        """What the MODULE keyword says: NIRCam's A or B."""
        return self.name[3] if self.instrument == "NIRCAM" else None

    @property
    def product_name(self) -> str:
        """How file names spell the detector: ``nrca5`` for NRCALONG."""
        return self.name.replace("LONG", "5").lower() if self.module else self.name.lower()


def _table(instrument: str, gain: float, read_noise: float, rows: str) -> dict[str, Detector]:
    """Detectors from lines of name, fast, slow, V2, V3, V3 angle, pixel scale, SCA number."""
    found = {}
    for row in rows.strip().splitlines():
        name, fast, slow, v2, v3, angle, scale, number = row.split()
        found[name] = Detector(
            instrument, name, int(fast), int(slow), float(v2), float(v3), float(angle),
            float(scale), int(number), gain, read_noise,
        )  # fmt: skip
    return found


DETECTORS: dict[str, Detector] = {
    **_table(
        "NIRCAM",
        2.05,
        11.0,
        """
        NRCA1    -1  2  120.525464 -527.543132 -0.562790 0.0312 481
        NRCA2     1 -2  119.589099 -459.863304 -0.219700 0.0308 482
        NRCA3    -1  2   51.885582 -527.952752  0.273805 0.0314 483
        NRCA4     1 -2   52.194550 -459.972490  0.088712 0.0309 484
        NRCB1     1 -2 -120.969513 -457.788777  0.366599 0.0308 486
        NRCB2    -1  2 -121.154684 -525.478141  0.859552 0.0312 487
        NRCB3     1 -2  -53.139934 -457.821740 -0.436602 0.0309 488
        NRCB4    -1  2  -52.845703 -525.729321 -0.316805 0.0314 489
        """,
    ),
    **_table(
        "NIRCAM",
        1.82,
        10.0,
        """
        NRCALONG -1  2   86.039011 -493.385704 -0.073851 0.0629 485
        NRCBLONG  1 -2  -89.596514 -491.474153  0.008058 0.0630 490
        """,
    ),
    **_table("NIRISS", 1.61, 11.5, "NIS -2 -1 -290.100000 -697.500000 0.569870 0.0656 496"),
    **_table(
        "NIRSPEC",
        1.45,
        9.0,
        """
        NRS1  2  1 294.054813 -502.901911 139.155450 0.1043 491
        NRS2 -2 -1 463.165228 -353.212474 137.718227 0.1043 492
        """,
    ),
    **_table(
        "FGS",
        1.90,
        13.0,
        """
        GUIDER1 -2 -1 207.190000 -697.500000 -1.250800 0.0693 497
        GUIDER2  2 -1  24.430000 -697.500000  0.190300 0.0689 498
        """,
    ),
    **_table(
        "MIRI",
        4.00,
        24.0,
        """
        MIRIMAGE    1 2 -453.363363 -374.068629 4.449705 0.1109 493
        MIRIFULONG  1 2 -504.200000 -319.300000 8.400000 0.2450 494
        MIRIFUSHORT 1 2 -503.654472 -318.742464 8.300000 0.1960 495
        """,
    ),
}
"""Every detector that takes science exposures, by the name in the DETECTOR keyword."""


@dataclass(frozen=True)
class Window:
    """The part of a detector that is read, in science orientation.

    Attributes
    ----------
    name : str
        What the SUBARRAY keyword says.
    xstart, ystart : int
        First column and row, counted from 1 (SUBSTRT1, SUBSTRT2).
    xsize, ysize : int
        Columns and rows (SUBSIZE1, SUBSIZE2).
    noutputs : int
        Amplifiers used (NOUTPUTS).
    """

    name: str
    xstart: int
    ystart: int
    xsize: int
    ysize: int
    noutputs: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (self.ysize, self.xsize)

    @property
    def rows(self) -> NDArray[np.intp]:
        """Rows of the full frame, counted from 0."""
        return np.arange(self.ystart - 1, self.ystart - 1 + self.ysize)

    @property
    def columns(self) -> NDArray[np.intp]:
        """Columns of the full frame, counted from 0."""
        return np.arange(self.xstart - 1, self.xstart - 1 + self.xsize)


def full_frame(detector: Detector) -> Window:
    """Return the window that covers all of a detector."""
    return Window("FULL", 1, 1, detector.xsize, detector.ysize, 4)


def reference_pixels(detector: Detector, window: Window) -> NDArray[np.bool_]:
    """Say which pixels of a window are reference pixels.

    Near-infrared detectors have a frame of four pixels all around, MIRI four columns on either
    side.

    Returns
    -------
    ndarray of bool, shape (y, x)
    """
    x, y = window.columns, window.rows
    in_columns = (x < REFERENCE_BORDER) | (x >= detector.xsize - REFERENCE_BORDER)
    in_rows = (y < REFERENCE_BORDER) | (y >= detector.ysize - REFERENCE_BORDER)
    if detector.is_mid_infrared:
        in_rows[:] = False
    return in_rows[:, None] | in_columns[None, :]


def fast_and_slow(detector: Detector, window: Window) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count a window's pixels along the read-out directions.

    Returns
    -------
    fast, slow : ndarray of int
        Position in the full frame along the fast and the slow direction, one for each pixel of
        the axis of the window that runs that way (x where ``abs(axis) == 1``, else y).
    """

    def count(axis: int) -> NDArray[np.intp]:
        size = detector.xsize if abs(axis) == 1 else detector.ysize
        position = window.columns if abs(axis) == 1 else window.rows
        return position if axis > 0 else size - 1 - position

    return count(detector.fast_axis), count(detector.slow_axis)
