"""Raw files of the laboratory, brought into the orientation and shape of JWST's products."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import InputError, ParameterError
from jwgpu.simulate.geometry import DETECTORS, Detector, Window, full_frame
from jwgpu.simulate.subarrays import named_window, subarrays

log = logging.getLogger(__name__)

Array = NDArray[Any]

#: Keywords of a window's first row and column in the raw frame, and what its first pixel is there.
_CORNERS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "NIRCAM": (("ROWCORNR", "COLCORNR", 1), ("ROWSTART", "COLSTART", 0)),
    "NIRISS": (("ROWCORNR", "COLCORNR", 1),),
    "NIRSPEC": (("A1_ROW_C", "A1_COL_C", 0), ("A1WINVSA", "A1WINHSA", 0)),
    "GUIDER1": (("ROWCORNR", "COLCORNR", 1),),
    "GUIDER2": (("ACROWCOR", "ACCOLCOR", 1),),
    "NRS2": (("A2_ROW_C", "A2_COL_C", 0), ("A1WINVSA", "A1WINHSA", 0)),
    "MIRI": (("ROWSTART", "COLSTART", 1),),
}

#: What EXP_TYPE starts with.
_PREFIXES = {"NIRCAM": "NRC", "NIRISS": "NIS", "NIRSPEC": "NRS", "MIRI": "MIR", "FGS": "FGS"}


@dataclass
class Raw:
    """A raw exposure in science orientation.

    Attributes
    ----------
    header : Header
        The primary header, not changed yet.
    detector : Detector
    window : Window
        What part of the detector it is.
    frames : array, (frames, y, x)
        One after the other, integration by integration.
    refout : array, (frames, y, x // 4), or None
        MIRI's reference output.
    nints, ngroups : int
    """

    header: Any
    detector: Detector
    window: Window
    frames: Array
    refout: Array | None
    nints: int
    ngroups: int


def read_raw(path: str | Path, subarray: str = "", exposure_type: str = "") -> Any:
    """Read a raw file as what templates call ``input``.

    Parameters
    ----------
    path : str or Path
        A FITS file with its frames in the first HDU, or in one called SCI.
    subarray : str
        Name of a subarray to cut out of a full frame.
    exposure_type : str
        What EXP_TYPE is to say; by default what the file says.

    Returns
    -------
    HDUList
        The frames (frames, y, x) and header first; then REFOUT, if there is one. NINT, NGROUP,
        SUBARRAY, SUBSTRT1, SUBSIZE1, …, FASTAXIS, SLOWAXIS, INSTRUME, DETECTOR, EXP_TYPE and
        DMSCOORD say how it now is.

    Raises
    ------
    InputError
        If the file cannot be read or understood.
    """
    raw = _open(Path(path))
    if subarray and subarray != raw.window.name:
        raw = _cut(raw, subarray, path)
    kind = exposure_type or str(raw.header.get("EXP_TYPE", "")).strip()
    if kind and not kind.startswith(_PREFIXES[raw.detector.instrument]):
        raise InputError(
            f"{path}: is of {raw.detector.instrument}, but the proposal says exp_type {kind}"
        )
    return _hdus(raw, kind)


def to_science(frames: Array, detector: Detector) -> Array:
    """Turn frames as they are read, (…, slow, fast), into science orientation, (…, y, x)."""
    if abs(detector.fast_axis) == 2:
        frames = np.swapaxes(frames, -1, -2)
    along_x = detector.fast_axis if abs(detector.fast_axis) == 1 else detector.slow_axis
    along_y = detector.slow_axis if abs(detector.fast_axis) == 1 else detector.fast_axis
    return frames[..., :: 1 if along_y > 0 else -1, :: 1 if along_x > 0 else -1]


def science_corner(
    detector: Detector, row: int, column: int, shape: tuple[int, int]
) -> tuple[int, int]:
    """Find a window's first column and row in science orientation.

    Parameters
    ----------
    detector : Detector
    row, column : int
        First row and column as read, from 1.
    shape : tuple of int
        Rows and columns as read.

    Returns
    -------
    x, y : int
        From 1.
    """
    starts = {}
    for axis, start, length in (
        (detector.slow_axis, row, shape[0]),
        (detector.fast_axis, column, shape[1]),
    ):
        size = detector.xsize if abs(axis) == 1 else detector.ysize
        starts[abs(axis)] = start if axis > 0 else size + 2 - start - length
    return starts[1], starts[2]


def find_detector_of(header: Any, path: str | Path) -> Detector:
    """Find which detector a raw header is of.

    Raises
    ------
    InputError
        If it does not say.
    """
    number, name = header.get("SCA_ID"), str(header.get("DETECTOR", "")).strip().upper()
    if name in ("SW", "LW"):  # NIRCam's NCONT: module and number apart
        number = header.get("SCA") if name == "SW" else "LONG"
        name = f"NRC{str(header.get('MODULE', '')).strip().upper()}{number}"
        number = None
    for detector in DETECTORS.values():
        if detector.name == name or _is_number(number, detector.sca_number):
            return detector
    raise InputError(f"{path}: its header names no detector of JWST (SCA_ID {number}, {name!r})")


def _open(path: Path) -> Raw:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            file.verify("silentfix")
            header = file[0].header.copy()
            named = {hdu.name: hdu for hdu in file}
            hdu = named.get("SCI", file[0])
            frames = hdu.data
            refout = named["REFOUT"].data if "REFOUT" in named else None
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is no FITS file that can be read ({reason})") from error
    if frames is None or frames.ndim not in (3, 4):
        shape = None if frames is None else frames.shape
        raise InputError(f"{path}: has no frames (frames, rows, columns), but {shape}")
    detector = find_detector_of(header, path)
    nints, ngroups = _lengths(header, frames, path)
    frames = frames.reshape(-1, *frames.shape[-2:])
    refout = None if refout is None else refout.reshape(-1, *refout.shape[-2:])
    is_oriented = str(header.get("DMSCOORD", "")).strip() == "JWST" or hdu.name == "SCI"
    row, column = (1, 1) if is_oriented else _corner(header, detector)
    if detector.is_mid_infrared and not is_oriented:
        frames, refout = _split_reference_output(frames, header, path)
    if is_oriented:
        x, y = int(header.get("SUBSTRT1", column)), int(header.get("SUBSTRT2", row))
    else:
        x, y = science_corner(detector, row, column, frames.shape[-2:])
        frames = to_science(frames, detector)
    window = _window(detector, x, y, frames.shape[-2:])
    return Raw(header, detector, window, frames, refout, nints, ngroups)


def _lengths(header: Any, frames: Array, path: Path) -> tuple[int, int]:
    """Return the numbers of integrations and of groups."""
    if frames.ndim == 4:
        return int(frames.shape[0]), int(frames.shape[1])
    nints = _number(header, "NINTS", "NINT") or 1
    ngroups = _number(header, "NGROUPS", "NGROUP") or len(frames) // nints
    if nints * ngroups != len(frames):
        raise InputError(
            f"{path}: {len(frames)} frames are not {nints} integrations of {ngroups} groups"
        )
    return nints, ngroups


def _corner(header: Any, detector: Detector) -> tuple[int, int]:
    """Return the first row and column as read, from 1."""
    places = _CORNERS.get(detector.name) or _CORNERS[detector.instrument]
    for row_name, column_name, first in places:
        row, column = _number(header, row_name), _number(header, column_name)
        if row is None or column is None:
            continue
        if detector.is_mid_infrared:  # columns are counted for each of the four amplifiers
            return row, 4 * (column - 1) + 1
        return row + 1 - first, column + 1 - first
    log.info("the header gives no corner of the window: it starts at the first pixel")
    return 1, 1


def _split_reference_output(frames: Array, header: Any, path: Path) -> tuple[Array, Array | None]:
    """Split MIRI's raw frames: the reference output lies above the pixels, four rows in one."""
    first, last = _number(header, "ROWSTART"), _number(header, "ROWSTOP")
    rows = last - first + 1 if first and last else frames.shape[1] * 4 // 5
    if rows == frames.shape[1]:
        return frames, None
    if frames.shape[1] * 4 != rows * 5 or frames.shape[2] % 4:
        raise InputError(f"{path}: {frames.shape[1]} rows are not {rows} with reference output")
    refout = frames[:, rows:].reshape(len(frames), rows, frames.shape[2] // 4)
    return frames[:, :rows], refout


def _window(detector: Detector, x: int, y: int, shape: tuple[int, ...]) -> Window:
    """Return the window, with the name that it has; GENERIC if none has that place and size."""
    rows, columns = shape
    for window in subarrays(detector).values():
        if (window.xstart, window.ystart, window.xsize, window.ysize) == (x, y, columns, rows):
            return window
    return Window("GENERIC", x, y, columns, rows, 4)


def _cut(raw: Raw, name: str, path: str | Path) -> Raw:
    """Cut a subarray out of a full frame."""
    try:
        window = named_window(raw.detector, name)
    except ParameterError as error:
        raise InputError(f"{path}: {error}") from error
    if raw.window != full_frame(raw.detector):
        raise InputError(f"{path}: only full frames can be cut, this is {raw.window.name}")
    rows = slice(window.ystart - 1, window.ystart - 1 + window.ysize)
    first = window.xstart - 1
    frames = raw.frames[:, rows, first : first + window.xsize]
    refout = raw.refout
    if refout is not None:
        refout = refout[:, rows, first // 4 : (first + window.xsize) // 4]
    return Raw(raw.header, raw.detector, window, frames, refout, raw.nints, raw.ngroups)


def _hdus(raw: Raw, kind: str) -> Any:
    from astropy.io import fits

    header, detector, window = raw.header, raw.detector, raw.window
    header["INSTRUME"], header["DETECTOR"] = detector.instrument, detector.name
    header["NINT"], header["NGROUP"] = raw.nints, raw.ngroups
    header["SUBARRAY"] = window.name
    header["SUBSTRT1"], header["SUBSTRT2"] = window.xstart, window.ystart
    header["SUBSIZE1"], header["SUBSIZE2"] = window.xsize, window.ysize
    header["COLSTART"], header["COLSTOP"] = window.xstart, window.xstart + window.xsize - 1
    header["ROWSTART"], header["ROWSTOP"] = window.ystart, window.ystart + window.ysize - 1
    header["FASTAXIS"], header["SLOWAXIS"] = detector.fast_axis, detector.slow_axis
    header["DMSCOORD"] = "JWST"
    header["EXP_TYPE"] = kind
    found = fits.HDUList([fits.PrimaryHDU(np.ascontiguousarray(raw.frames), header)])
    if raw.refout is not None:
        found.append(fits.ImageHDU(np.ascontiguousarray(raw.refout), name="REFOUT"))
    return found


def _number(header: Any, *names: str) -> int | None:
    """Return the first of some keywords that is there, as a whole number."""
    for name in names:
        value = header.get(name)
        try:
            return int(float(str(value)))
        except ValueError:
            continue
    return None


def _is_number(value: Any, number: int) -> bool:
    try:
        return int(value) == number
    except (TypeError, ValueError):
        return False
