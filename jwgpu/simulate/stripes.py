"""Exposures read in stripes: the windows of their images, their light and their references.

An image of stripes is simulated like any other, only that its rows or columns are not neighbours
on the detector. Each time that a stripe is read counts as pixels of their own, which gather the
same light: exact where nothing is read twice.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import InputError, ParameterError
from jwgpu.models.stripes import DETECTOR_SIZE, StripedReadout, first_line
from jwgpu.models.superstripes import lines_together
from jwgpu.simulate.geometry import Detector, Window

if TYPE_CHECKING:
    from jwgpu.simulate.settings import Settings

Numbers = tuple[int, int, int, int, int, int, int, int]
"""MSTR_RD1, MSTR_SK1, MSTR_RD2, MSTR_SK2, MSTR_RPT, MSTR_ILV, SSTR_STP, SSTR_NST."""


@dataclass(frozen=True)
class StripedWindow(Window):
    """What an image of stripes shows; start and size are what the keywords say.

    Attributes
    ----------
    readout : StripedReadout
        How it is read.
    number : int
        Which superstripe, from 0.
    """

    readout: StripedReadout
    number: int = 0

    @property
    def rows(self) -> NDArray[np.intp]:
        """Rows of the full frame, counted from 0, not one after the other."""
        return self._lines if self.readout.slow_is_y else super().rows

    @property
    def columns(self) -> NDArray[np.intp]:
        """Columns of the full frame, counted from 0, not one after the other."""
        return super().columns if self.readout.slow_is_y else self._lines

    @property
    def _lines(self) -> NDArray[np.intp]:
        lines: NDArray[np.intp] = self.readout.lines[self.number]
        return lines


def striped_window(
    detector: Detector, window: tuple[int, int, int, int], name: str, numbers: Numbers
) -> StripedWindow:
    """Make the window of the (first) image of a striped readout.

    Parameters
    ----------
    detector : Detector
    window : tuple of int
        SUBSTRT1, SUBSTRT2, SUBSIZE1, SUBSIZE2.
    name : str
        What SUBARRAY says.
    numbers : tuple of int
        See `Numbers`.

    Raises
    ------
    ParameterError
        If there is no such readout.
    """
    along_y = abs(detector.fast_axis) == 1
    x, y, columns, rows = window
    reads1, skips1, reads2, skips2, repeats, interleaves, step, n_superstripes = numbers
    if reads2 == 0 and n_superstripes:
        reads2 = step  # stripes lie side by side
    readout = StripedReadout(
        *(reads1, skips1, reads2, skips2, repeats > 0, interleaves > 0, step, n_superstripes),
        slow_start=first_line(y if along_y else x, detector.slow_axis, name),
        slow_size=rows if along_y else columns,
        fast_axis=detector.fast_axis,
        slow_axis=detector.slow_axis,
    )
    if detector.is_mid_infrared:
        raise ParameterError("MIRI is not read in stripes; choose another instrument")
    try:
        readout.check(f"stripes {numbers}, window {window}")
    except InputError as why:
        raise ParameterError(str(why)) from None
    outputs = 4 if (columns if along_y else rows) == DETECTOR_SIZE else 1
    return StripedWindow(name, x, y, columns, rows, outputs, readout)


def whole_window(place: StripedWindow) -> Window:
    """Return the window of all lines of the detector, as wide as the stripes are.

    It is what references are made for that are arranged for the stripes.
    """
    if place.readout.slow_is_y:
        return Window(place.name, place.xstart, 1, place.xsize, DETECTOR_SIZE, place.noutputs)
    return Window(place.name, 1, place.ystart, DETECTOR_SIZE, place.ysize, place.noutputs)


def calibrated_window(place: StripedWindow) -> Window:
    """Return the window of the calibrated image: superstripes are then together."""
    if not place.readout.n_superstripes:
        return place
    readout, whole = place.readout, whole_window(place)
    lines = lines_together(readout, place.name)
    start = lines.start if readout.slow_axis > 0 else DETECTOR_SIZE - lines.stop
    size = lines.stop - lines.start
    if readout.slow_is_y:
        return replace(whole, ystart=start + 1, ysize=size)
    return replace(whole, xstart=start + 1, xsize=size)


def window_for(reftype: str, place: StripedWindow, given: Window) -> Window:
    """Return the window that a reference file for a striped readout covers.

    Files cover all lines, for the official package to arrange, but darks, which it does not.

    Parameters
    ----------
    reftype : str
    place : StripedWindow
        What is read.
    given : Window
        What was asked for, if it is not `place`.
    """
    if reftype == "dark":
        return calibrated_window(place)
    return whole_window(place) if given is place else given


def cut_out(image: NDArray[np.float32], whole: Window, place: Window) -> NDArray[np.float32]:
    """Take what one window shows out of the image of another, which contains it."""
    rows, columns = place.rows - whole.rows[0], place.columns - whole.columns[0]
    return image[np.ix_(rows, columns)]


def striped_rates(settings: Settings) -> NDArray[np.float32]:
    """Make an image of sky and stars of all lines of the detector, in photo-electrons a second."""
    place = settings.place
    assert isinstance(place, StripedWindow)
    window = whole_window(place)
    plain = {field.name: getattr(settings, field.name) for field in fields(settings)}
    plain.pop("number", None)
    plain["seed"] = plain.pop("scene_seed", settings.seed)
    plain["window"] = (window.xstart, window.ystart, window.xsize, window.ysize)
    image, seconds = _rates(tuple(sorted({**plain, "stripes": None}.items())))
    return image * np.float32(seconds / settings.integration_time)


@lru_cache(maxsize=1)
def _rates(items: tuple[tuple[str, object], ...]) -> tuple[NDArray[np.float32], float]:
    """Return the image of a plain window, and the time that its brightness is meant for."""
    from jwgpu.simulate.detector_maps import detector_maps
    from jwgpu.simulate.scene import count_rates
    from jwgpu.simulate.settings import Settings

    settings = Settings(**dict(items))  # type: ignore[arg-type]
    return count_rates(settings, detector_maps(settings)), settings.integration_time
