"""Tables of a raw product that tell when each group and integration was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SECONDS_PER_DAY = 86400.0
_EPOCH = np.datetime64("1858-11-17T00:00:00.000")
_DAY_2000 = 51544  # Modified Julian Date from which the days of the GROUP table are counted

_GROUP = [
    ("integration_number", "i4"),
    ("group_number", "i2"),
    ("end_day", "i2"),
    ("end_milliseconds", "i4"),
    ("end_submilliseconds", "i2"),
    ("group_end_time", "S26"),
    ("number_of_columns", "i2"),
    ("number_of_rows", "i2"),
    ("number_of_gaps", "i2"),
    ("completion_code_number", "i2"),
    ("completion_code_text", "S36"),
    ("bary_end_time", "f8"),
    ("helio_end_time", "f8"),
]
_INT_TIMES = [
    ("integration_number", "i4"),
    *((f"int_{part}_{clock}", "f8") for clock in ("MJD_UTC", "BJD_TDB") for part in
      ("start", "mid", "end")),
]  # fmt: skip


def group_table(header: Mapping[str, Any]) -> NDArray[Any] | None:
    """Return the GROUP table: when each group ended.

    Parameters
    ----------
    header : mapping
        Keywords of the product: EXPSTART, NINTS, NGROUPS, TGROUP, TFRAME, SUBSIZE1, SUBSIZE2; where
        it is there EXPEND, too.

    Returns
    -------
    ndarray or None
        One row for each group; None where the keywords do not tell the times. Barycentric and
        heliocentric times, which a laboratory does not have, are NaN.
    """
    starts = _starts(header)
    if starts is None:
        return None
    ngroups = int(header["NGROUPS"])
    groups = np.arange(1, ngroups + 1)
    days = (starts[:, None] + groups * float(header["TGROUP"]) / _SECONDS_PER_DAY).ravel()
    milliseconds = np.round(days % 1.0 * _SECONDS_PER_DAY * 1000.0).astype(np.int64)
    since = np.floor(days).astype(np.int64) * 86_400_000 + milliseconds
    table = np.zeros(days.size, _GROUP)
    table["integration_number"] = np.repeat(np.arange(1, starts.size + 1), ngroups)
    table["group_number"] = np.tile(groups, starts.size)
    table["end_day"] = since // 86_400_000 - _DAY_2000
    table["end_milliseconds"] = since % 86_400_000
    table["group_end_time"] = (_EPOCH + since.astype("timedelta64[ms]")).astype("S26")
    table["number_of_columns"] = int(header.get("SUBSIZE1") or 0)
    table["number_of_rows"] = int(header.get("SUBSIZE2") or 0)
    table["completion_code_text"] = b"COMPLETE"
    table["bary_end_time"] = table["helio_end_time"] = np.nan
    return table


def int_times(header: Mapping[str, Any]) -> NDArray[Any] | None:
    """Return the INT_TIMES table: when each integration began and ended.

    Parameters and result are those of `group_table`, with one row for each integration.
    """
    starts = _starts(header)
    if starts is None:
        return None
    ends = starts + int(header["NGROUPS"]) * float(header["TGROUP"]) / _SECONDS_PER_DAY
    table = np.zeros(starts.size, _INT_TIMES)
    table["integration_number"] = np.arange(1, starts.size + 1)
    for part, times in (("start", starts), ("mid", (starts + ends) / 2), ("end", ends)):
        table[f"int_{part}_MJD_UTC"] = times
        table[f"int_{part}_BJD_TDB"] = np.nan
    return table


def _starts(header: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return when the integrations began, as Modified Julian Dates; None if that is not told."""
    values = [header.get(name) for name in ("EXPSTART", "TGROUP", "NINTS", "NGROUPS")]
    if None in values:
        return None
    start, group_time, nints, ngroups = (float(value) for value in values if value is not None)
    length = ngroups * group_time
    # The first integration begins with the exposure; before each other one a frame is reset.
    cycle = length + float(header.get("TFRAME") or 0.0)
    duration = (float(header.get("EXPEND") or 0.0) - start) * _SECONDS_PER_DAY
    if nints > 1 and duration >= nints * length:
        cycle = (duration - length) / (nints - 1)
    return np.asarray(start + np.arange(int(nints)) * cycle / _SECONDS_PER_DAY)
