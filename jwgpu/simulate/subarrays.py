"""Named subarrays: where they lie on each detector, from the public SIAF and real headers."""

from __future__ import annotations

from jwgpu.errors import ParameterError
from jwgpu.simulate.geometry import DETECTORS, Detector, Window, full_frame

# name: detector x y, …: sizes follow the name, corners are counted from 1.
_NIRCAM = {
    ("SUB160", 160, 160): "A1 1889 1889 A2 1889 1 A3 1 1889 A4 1 1 ALONG 945 945 "
    "B1 1 1 B2 1 1889 B3 1889 1 B4 1889 1889 BLONG 905 941",
    ("SUB320", 320, 320): "A1 1729 1729 A2 1729 1 A3 1 1729 A4 1 1 ALONG 865 865 "
    "B1 1 1 B2 1 1729 B3 1729 1 B4 1729 1729 BLONG 825 861",
    ("SUB640", 640, 640): "A1 1409 1409 A2 1409 1 A3 1 1409 A4 1 1 ALONG 705 705 "
    "B1 1 1 B2 1 1409 B3 1409 1 B4 1409 1409 BLONG 665 701",
    ("SUB64P", 64, 64): "A3 1 101 ALONG 1046 1 B1 1985 1985 BLONG 1985 1985",
    ("SUB160P", 160, 160): "A3 1889 1 ALONG 1889 1 B1 1889 1889 BLONG 1889 1889",
    ("SUB400P", 400, 400): "A3 1649 1 ALONG 1649 1 B1 1649 1649 BLONG 1649 1649",
    ("SUBGRISM256", 2048, 256): "A1 1 1 A3 1 1 ALONG 1 1",
    ("SUBGRISM128", 2048, 128): "A1 1 103 A3 1 112 ALONG 1 1",
    ("SUBGRISM64", 2048, 64): "A1 1 135 A3 1 144 ALONG 1 1",
    ("SUB640A210R", 640, 640): "A2 424 1158",
    ("SUB640ASWB", 640, 640): "A4 160 1188",
    ("SUB640B210R", 640, 640): "B1 968 1218",
    ("SUB640BSWB", 640, 640): "B3 562 1214",
    ("SUB320A335R", 320, 320): "ALONG 486 1508",
    ("SUB320A430R", 320, 320): "ALONG 811 1514",
    ("SUB320ALWB", 320, 320): "ALONG 1452 1508",
    ("SUB320B335R", 320, 320): "BLONG 1186 1530",
    ("SUB320B430R", 320, 320): "BLONG 862 1528",
    ("SUB320BLWB", 320, 320): "BLONG 543 1525",
    ("SUB64FP1A", 64, 64): "A3 430 1380",
    ("SUB64FP1B", 64, 64): "B4 1788 1786",
    ("SUB8FP1A", 8, 8): "A3 458 1408",
    ("SUB8FP1B", 8, 8): "B4 1816 1814",
    ("SUB96DHSPILA", 96, 96): "A3 968 1032",
    ("SUB96DHSPILB", 96, 96): "B4 988 1032",
    ("SUB32TATSGRISM", 32, 32): "ALONG 1213 95",
    ("SUB32TATS", 32, 32): "BLONG 2009 1817",
}

# name: x, y, columns, rows
_NIRISS = {
    "SUB64": (1985, 1985, 64, 64),
    "SUB80": (1045, 1, 80, 80),
    "SUB128": (1921, 1921, 128, 128),
    "SUB256": (1793, 1793, 256, 256),
    "SUBTAAMI": (1054, 81, 64, 64),
    "SUBTASOSS": (1923, 1167, 64, 64),
    "SUBAMPCAL": (1, 1, 512, 1792),
    "SUBSTRIP96": (1, 1803, 2048, 96),
    "SUBSTRIP256": (1, 1793, 2048, 256),
    "WFSS64R": (1985, 1, 64, 2048),
    "WFSS64C": (1, 1985, 2048, 64),
    "WFSS128R": (1921, 1, 128, 2048),
    "WFSS128C": (1, 1921, 2048, 128),
}

# On NRS1; NRS2 is turned by half a circle against it, and so are its windows here.
_NIRSPEC = {
    "SUB2048": (1, 959, 2048, 32),
    "SUB512": (1025, 957, 512, 32),
    "ALLSLITS": (1, 897, 2048, 256),
}

_GUIDER1 = {
    "SUB128LL": (1921, 1921, 128, 128),
    "SUB128DIAG": (1441, 1441, 128, 128),
    "SUB128CNTR": (961, 961, 128, 128),
    "SUB32LL": (1969, 1969, 32, 32),
    "SUB32DIAG": (1489, 1489, 32, 32),
    "SUB32CNTR": (1009, 1009, 32, 32),
    "SUB8LL": (1981, 1981, 8, 8),
    "SUB8DIAG": (1501, 1501, 8, 8),
    "SUB8CNTR": (1021, 1021, 8, 8),
}
_GUIDER2 = {
    "SUB128LL": (1921, 1, 128, 128),
    "SUB128DIAG": (1441, 481, 128, 128),
    "SUB128CNTR": (961, 961, 128, 128),
    "SUB32LL": (1969, 49, 32, 32),
    "SUB32DIAG": (1489, 529, 32, 32),
    "SUB32CNTR": (1009, 1009, 32, 32),
    "SUB8LL": (1981, 61, 8, 8),
    "SUB8DIAG": (1501, 541, 8, 8),
    "SUB8CNTR": (1021, 1021, 8, 8),
}

_MIRIMAGE = {
    "BRIGHTSKY": (457, 51, 512, 512),
    "SUB256": (413, 51, 256, 256),
    "SUB128": (1, 889, 136, 128),
    "SUB64": (1, 779, 72, 64),
    "SLITLESSPRISM": (1, 529, 72, 416),
    "MASK1065": (1, 19, 288, 224),
    "MASK1140": (1, 245, 288, 224),
    "MASK1550": (1, 467, 288, 224),
    "MASKLYOT": (1, 717, 320, 304),
}

_FREE_FORM_NAMES = {
    "NIRCAM": "SUB64P",
    "NIRISS": "SUB64",
    "NIRSPEC": "SUB2048",
    "FGS": "SUB32CNTR",
    "MIRI": "SUB64",
}


def _one_amplifier(corners: dict[str, tuple[int, int, int, int]]) -> dict[str, Window]:
    return {name: Window(name, *numbers, 1) for name, numbers in corners.items()}


def _of_nircam(detector: Detector) -> dict[str, Window]:
    found = {}
    for (name, xsize, ysize), places in _NIRCAM.items():
        words = places.split()
        for suffix, x, y in zip(words[::3], words[1::3], words[2::3], strict=True):
            if detector.name == "NRC" + suffix:
                outputs = 4 if name.startswith("SUBGRISM") else 1
                found[name] = Window(name, int(x), int(y), xsize, ysize, outputs)
    return found


def subarrays(detector: Detector) -> dict[str, Window]:
    """Return every named window of a detector, FULL among them."""
    if detector.instrument == "NIRCAM":
        found = _of_nircam(detector)
    elif detector.name == "NRS2":
        found = {
            name: Window(name, 2050 - x - columns, 2050 - y - rows, columns, rows, 1)
            for name, (x, y, columns, rows) in _NIRSPEC.items()
        }
    else:
        tables = {
            "NIS": _NIRISS,
            "NRS1": _NIRSPEC,
            "GUIDER1": _GUIDER1,
            "GUIDER2": _GUIDER2,
            "MIRIMAGE": _MIRIMAGE,
        }
        found = _one_amplifier(tables.get(detector.name, {}))
        if detector.is_mid_infrared:
            found = {
                name: Window(name, w.xstart, w.ystart, w.xsize, w.ysize, 4)
                for name, w in found.items()
            }
    return {"FULL": full_frame(detector), **found}


def find_detector(instrument: str, name: str) -> Detector:
    """Return a detector by name.

    Raises
    ------
    ParameterError
        If there is none of that name, or it belongs to another instrument.
    """
    detector = DETECTORS.get(name.upper())
    if detector is None or detector.instrument != instrument.upper():
        known = [d.name for d in DETECTORS.values() if d.instrument == instrument.upper()]
        message = f"{instrument} has no detector {name!r}; choose one of: "
        raise ParameterError(message + ", ".join(known or sorted(DETECTORS)))
    return detector


def named_window(detector: Detector, name: str) -> Window:
    """Return a named window of a detector.

    Raises
    ------
    ParameterError
        If the detector has no such subarray.
    """
    known = subarrays(detector)
    if name.upper() not in known:
        raise ParameterError(
            f"{detector.name} has no subarray {name!r} here; choose one of: " + ", ".join(known)
        )
    return known[name.upper()]


def free_window(
    detector: Detector, place: tuple[int, int, int, int], name: str | None = None
) -> Window:
    """Return a window of any size and place, for tests that want few pixels.

    Parameters
    ----------
    detector : Detector
    place : tuple of int
        First column and row, counted from 1, then columns and rows.
    name : str, optional
        What SUBARRAY says; by default a name that the instrument knows.

    Raises
    ------
    ParameterError
        If the window does not lie on the detector.
    """
    x, y, columns, rows = place
    fits = x >= 1 and y >= 1 and columns >= 1 and rows >= 1
    if not fits or x + columns - 1 > detector.xsize or y + rows - 1 > detector.ysize:
        raise ParameterError(
            f"window {place} does not lie on {detector.name}; check its corner, size"
        )
    everything = (columns, rows) == (detector.xsize, detector.ysize)
    default = "FULL" if everything else _FREE_FORM_NAMES[detector.instrument]
    outputs = 4 if everything or detector.is_mid_infrared else 1
    return Window(name or default, x, y, columns, rows, outputs)
