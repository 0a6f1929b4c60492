"""Read patterns and the time that a frame takes."""

from __future__ import annotations

from dataclasses import dataclass

from jwgpu.kernels.irs2.layout import IMAGE_TIME
from jwgpu.simulate.geometry import Detector, Window

PIXEL_TIME = 1.0e-5
"""Seconds an amplifier needs for one pixel."""

NEAR_INFRARED_OVERHEAD = 12
"""Pixel times lost at the end of each row of a near-infrared detector."""


@dataclass(frozen=True)
class ReadPattern:
    """How frames become groups: ``nframes`` are averaged, ``groupgap`` dropped between."""

    instrument: str
    name: str
    nframes: int
    groupgap: int
    nsamples: int = 1  # of one pixel in one frame; more in MIRI's slow mode

    @property
    def is_irs2(self) -> bool:
        """Whether NIRSpec's reference pixels are read between the others."""
        return "IRS2" in self.name


def _patterns(instrument: str, rows: str) -> dict[str, ReadPattern]:
    """Patterns from words like ``DEEP8:8:12``, that is name, frames averaged, frames dropped."""
    found = {}
    for row in rows.split():
        name, nframes, groupgap = row.split(":")
        found[name] = ReadPattern(instrument, name, int(nframes), int(groupgap))
    return found


READ_PATTERNS: dict[str, ReadPattern] = {
    **_patterns(
        "NIRCAM",
        "RAPID:1:0 BRIGHT1:1:1 BRIGHT2:2:0 SHALLOW2:2:3 SHALLOW4:4:1 MEDIUM2:2:8 MEDIUM8:8:2 "
        "DEEP2:2:18 DEEP8:8:12",
    ),
    **_patterns("NIRISS", "NISRAPID:1:0 NIS:4:0"),
    **_patterns(
        "NIRSPEC",
        "NRSRAPID:1:0 NRS:4:0 NRSRAPIDD1:1:1 NRSRAPIDD2:1:2 NRSRAPIDD6:1:6 "
        "NRSIRS2RAPID:1:0 NRSIRS2:5:0",
    ),
    **_patterns("FGS", "FGSRAPID:1:0 FGS:4:0"),
    **_patterns("MIRI", "FAST:1:0 FASTR1:1:0 FASTR100:1:99"),
    "SLOW": ReadPattern("MIRI", "SLOW", 1, 0, nsamples=10),
    "SLOWR1": ReadPattern("MIRI", "SLOWR1", 1, 0, nsamples=10),
}
"""Every read pattern, by the name in the READPATT keyword."""

DEFAULT_READ_PATTERN = {
    "NIRCAM": "RAPID",
    "NIRISS": "NISRAPID",
    "NIRSPEC": "NRSRAPID",
    "FGS": "FGSRAPID",
    "MIRI": "FASTR1",
}

# Seconds; MIRI's clocking of a window depends on its place, so these are a table.
_MIRI_FRAME_TIMES = {
    "FULL": 2.77504,
    "BRIGHTSKY": 0.86528,
    "SUB256": 0.29952,
    "SUB128": 0.11904,
    "SUB64": 0.08500,
    "SLITLESSPRISM": 0.15904,
    "MASK1065": 0.23968,
    "MASK1140": 0.23968,
    "MASK1550": 0.23968,
    "MASKLYOT": 0.32400,
}
_MIRI_SLOW_FULL_FRAME = 23.88906

_IRS2_NEW_FRAME = 714  # pixel times lost at the end of a frame


def frame_time(detector: Detector, window: Window, pattern: ReadPattern) -> float:
    """Return the time between two frames (TFRAME), in seconds."""
    if detector.is_mid_infrared:
        fast = _MIRI_FRAME_TIMES["FULL"]
        named = _MIRI_FRAME_TIMES.get(window.name, fast)
        seconds = named * (_MIRI_SLOW_FULL_FRAME / fast if pattern.nsamples > 1 else 1.0)
        return round(seconds, 5)
    if pattern.is_irs2:
        return round((IMAGE_TIME + _IRS2_NEW_FRAME) * PIXEL_TIME, 5)
    columns, rows = window.xsize, window.ysize
    if abs(detector.fast_axis) == 2:
        columns, rows = rows, columns
    # One amplifier needs a row more than four do.
    extra_rows = 1 if window.noutputs == 4 else 2
    clocks = (columns // window.noutputs + NEAR_INFRARED_OVERHEAD) * (rows + extra_rows)
    return round(clocks * PIXEL_TIME, 5)
