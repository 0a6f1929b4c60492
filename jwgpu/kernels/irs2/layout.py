"""Where things are in an IRS2 image, and when each pixel is read.

NIRSpec's IRS2 readout steps out of the rows of the image to read reference pixels: after 8 pixels
of an amplifier's line four reference pixels, then after every 16, and 8 more pixels at the end. A
fifth output sees no pixels at all and is read along with the other four. So a line of 2048 pixels
is stored as 5 x 640 = 3200 values: the reference output, then four amplifiers, each 512 pixels
interleaved with 128 reference pixels. Every second output is read from the other end.

In time a line lasts 712 pixels: stepping out and back in takes one pixel's time each, and the new
line eight. A *time series* is an image of one output in the order of time, with the lines
(2048, 712) and zeros where nothing was read.

Rauscher et al. 2017, PASP 129, 105003; "Reference Pixel Correction" in the JWST calibration
documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Array: TypeAlias = Any

LINES = 2048
OUTPUTS = 5
OUTPUT_ROWS = 640
ROWS = OUTPUTS * OUTPUT_ROWS
#: Pixels between two visits to the reference pixels, and reference pixels a visit.
SCIENCE_RUN = 16
REFERENCE_RUN = 4
PERIOD = SCIENCE_RUN + REFERENCE_RUN
VISITS = OUTPUT_ROWS // PERIOD
#: Duration of a visit with what precedes it, of a line and of an image, in pixels.
VISIT_TIME = PERIOD + 2
LINE_TIME = VISITS * VISIT_TIME + 8
IMAGE_TIME = LINES * LINE_TIME


@dataclass(frozen=True)
class InterleavedLayout:
    """The rows of a stored IRS2 image (3200, 2048); its columns are the lines.

    Attributes
    ----------
    is_reversed : bool
        Whether rows and columns are stored against the order of readout (NRS2).
    is_interleaved : array, (3200,) bool
        Rows of reference pixels, and what corresponds to them in the reference output.
    science_rows : array, (2048,) int32
        Rows of the detector itself, its border included, in ascending order.
    row_at : array, (5, 712) int32
        For each output the row that is read at each time of a line; -1 where none is.
    is_science_time : array, (712,) bool
        When pixels of the detector itself are read.
    """

    is_reversed: bool
    is_interleaved: Array
    science_rows: Array
    row_at: Array
    is_science_time: Array

    def row(self, position: Array) -> Array:
        """Return the stored rows of positions along the (unreversed) line, 0…3199."""
        return ROWS - 1 - position if self.is_reversed else position


def interleaved_layout(xp: Any, is_reversed: bool) -> InterleavedLayout:
    """Return the layout of NRS1 (not reversed) or NRS2, its arrays of the namespace `xp`."""
    place = xp.arange(OUTPUT_ROWS)
    is_reference = (place - SCIENCE_RUN // 2) % PERIOD < REFERENCE_RUN
    # Before place p there were so many visits; each costs two steps, a reference pixel of the
    # current visit only the first of them.
    visits_begun = (place + SCIENCE_RUN // 2 + REFERENCE_RUN) // PERIOD
    time = place + 2 * visits_begun - is_reference
    is_science_time = xp.zeros(LINE_TIME, bool)
    is_science_time[time[~is_reference]] = True
    row_at = xp.full((OUTPUTS, LINE_TIME), -1, xp.int32)
    for output in range(OUTPUTS):
        along = place if output % 2 else place[::-1]
        row = output * OUTPUT_ROWS + along
        row_at[output, time] = ROWS - 1 - row if is_reversed else row
    is_interleaved = xp.tile(is_reference, OUTPUTS)
    is_science = ~is_interleaved
    is_science[row_at[0][row_at[0] >= 0]] = False
    return InterleavedLayout(
        is_reversed=is_reversed,
        is_interleaved=is_interleaved,
        science_rows=xp.flatnonzero(is_science).astype(xp.int32),
        row_at=row_at,
        is_science_time=is_science_time,
    )
