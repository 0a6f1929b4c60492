"""Comparing a product of ours with the official one: extensions, dtypes, keywords, values."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

#: Keywords that must differ: when, and by what, the product was made.
MADE_BY = {"DATE", "CAL_VER", "CAL_VCS", "CHECKSUM", "DATASUM", "HISTORY", "COMMENT", ""}

#: Extensions of flags, which must agree to the bit.
FLAGS = {"DQ", "PIXELDQ", "GROUPDQ"}

RTOL = 1e-5

#: Terms of a polynomial that is fitted to the geometry, which agrees to 1e-9 degree.
SIP_TERM = re.compile(r"[AB]P?_\d_\d")


def assert_same_product(
    ours: str | Path,
    theirs: str | Path,
    *,
    quirks: frozenset[str] = frozenset(),
    border: int = 0,
    **absolute: float,
) -> None:
    """Check that two FITS products are the same but for who made them.

    Parameters
    ----------
    ours, theirs
        The files.
    quirks
        Keywords in which the official package is wrong (say how).
    border
        Rows and columns at each edge of an image in which the values may differ (say why).
    **absolute
        Extension to the absolute tolerance of its values, where rtol 1e-5 is not enough (say why).
    """
    with fits.open(ours) as our_file, fits.open(theirs) as their_file:
        assert [hdu.name for hdu in our_file] == [hdu.name for hdu in their_file]
        for our, their in zip(our_file, their_file, strict=True):
            _assert_same_header(our, their, quirks)
            if our.name == "ASDF" or their.data is None:
                continue
            if our.name == "HDRTAB":
                _assert_same_table(our, their)
                continue
            assert our.data.dtype == their.data.dtype, our.name
            one, other = our.data, their.data
            if border and not isinstance(our, fits.BinTableHDU):
                inner = np.s_[..., border:-border, border:-border]
                assert one.shape == other.shape, our.name
                one, other = one[inner], other[inner]
            if isinstance(our, fits.BinTableHDU) or our.name in FLAGS:
                np.testing.assert_array_equal(one, other, err_msg=our.name)
            else:
                np.testing.assert_allclose(
                    one,
                    other,
                    rtol=RTOL,
                    atol=absolute.get(our.name, 0.0),
                    err_msg=our.name,
                )


def _assert_same_table(our: Any, their: Any) -> None:
    """Compare the keywords of all images, but for who made these."""
    assert our.columns.names == their.columns.names
    for name in set(our.columns.names) - MADE_BY:
        assert our.columns[name].format == their.columns[name].format, name
        one, other = our.data[name], their.data[name]
        if other.dtype.kind == "f":  # keywords, which are compared to six digits
            np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


def _assert_same_header(our: Any, their: Any, quirks: frozenset[str]) -> None:
    ignored = MADE_BY | quirks
    if our.name == "ASDF":  # its size depends on the log that it holds
        ignored = ignored | {"NAXIS1", "TFORM1", "TDIM1"}
    if our.name == "HDRTAB":  # the widths of its columns on who made the images
        widths = {f"TFORM{1 + our.columns.names.index(name)}" for name in ("CAL_VER", "CAL_VCS")}
        ignored = ignored | widths | {"NAXIS1"}
    ours, theirs = _keywords(our, ignored), _keywords(their, ignored)
    different = {
        k for k in ours | theirs if k not in ours or k not in theirs or not _same(k, ours, theirs)
    }
    assert not different, {k: (ours.get(k), theirs.get(k)) for k in different}


def _same(key: str, ours: dict[str, object], theirs: dict[str, object]) -> bool:
    """Whether a keyword says the same: terms of a SIP polynomial, which is fitted, to 1e-5."""
    one, other = ours[key], theirs[key]
    if isinstance(one, float) and isinstance(other, float) and SIP_TERM.fullmatch(key):
        return math.isclose(one, other, rel_tol=1e-5)
    return one == other


def _keywords(hdu: Any, ignored: set[str]) -> dict[str, object]:
    header = {key: value for key, value in hdu.header.items() if key not in ignored}
    for key in header:
        # Cosmic-ray rates are float: the same number of them, divided in another order.
        if isinstance(header[key], float):
            header[key] = float(f"{header[key]:.6g}")
    return header
