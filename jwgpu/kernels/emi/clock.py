"""When the pixels of a MIRI exposure are read, in clock cycles of one pixel."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds of one cycle of the pixel clock.
PIXEL_TIME = 10.0e-6

#: Rows of a full frame, and the cycles that a row outside a subarray takes to be skipped.
_ALL_ROWS = 1024
_SKIPPED_ROW_CLOCKS = 7


#: Cycles from row to row and in a reset frame, by subarray; of full frames by speed too.
MIRI_CLOCKS: dict[str, tuple[int, int]] = {
    "SLITLESSPRISM": (28, 15904),
    "MASKLYOT": (90, 32400),
    "SUB64": (28, 8512),
    "SUB128": (44, 11904),
    "MASK1140": (82, 23968),
    "MASK1550": (82, 23968),
    "MASK1065": (82, 23968),
    "FULL_FAST": (271, 277504),
    "FULL_SLOW": (2333, 2388992),
    "BRIGHTSKY": (162, 86528),
    "SUB256": (96, 29952),
}


@dataclass(frozen=True)
class Clock:
    """The read-out of an exposure: the four amplifiers read neighbouring columns at one time.

    Attributes
    ----------
    row_clocks : int
        Cycles from the start of a row to that of the next.
    samples : int
        Cycles for one pixel of each amplifier: 1 in fast mode, 9 in slow mode (NSAMPLES).
    reset_clocks : int
        Cycles that the detector is reset for between integrations.
    rows, groups : int
        Rows that are read, groups in an integration.
    """

    row_clocks: int
    samples: int
    reset_clocks: int
    rows: int
    groups: int

    @property
    def frame_clocks(self) -> int:
        """Cycles from the start of a group to that of the next: the rows read, and those skipped.

        Only for read patterns without dropped frames.
        """
        return self.rows * self.row_clocks + (_ALL_ROWS - self.rows) * _SKIPPED_ROW_CLOCKS

    @property
    def integration_clocks(self) -> int:
        """Cycles from the start of an integration to that of the next."""
        return self.groups * self.frame_clocks + self.reset_clocks


def period_of(frequency: float) -> float:
    """Return the period of a frequency (Hz) in cycles of the pixel clock."""
    return (1.0 / frequency) / PIXEL_TIME
