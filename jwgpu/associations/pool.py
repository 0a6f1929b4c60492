"""Pools: tables of exposures and their keywords, from which associations are made."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jwgpu.associations.creation import write_whole
from jwgpu.errors import InputError, ParameterError

_NOT_COLUMNS = frozenset({"", "COMMENT", "HISTORY"})

#: Columns that the rules need and no header has.
_FIXED = {"mostilno": "1", "dithptin": "1"}


def rows_of_pool(
    names: Sequence[str],
    candidate: str | None = None,
    note: str = "",
    is_imprint: str = "f",
    pointing_type: str = "science",
) -> list[dict[str, str]]:
    """Tabulate the primary headers of exposures.

    Parameters
    ----------
    names : sequence of str
        FITS files.
    candidate : str, optional
        More candidates, as a list of pairs: ``[('c1000', 'background')]``.
    note, is_imprint, pointing_type : str
        Columns that no header has.

    Returns
    -------
    list of dict
        A row for each exposure, all of the same columns; ``null`` where a header lacks one.

    Raises
    ------
    InputError
        If a file cannot be read, or lacks OBSERVTN or TARGNAME.
    ParameterError
        If `candidate` is no list.
    """
    if candidate is not None and not (candidate.startswith("[") and candidate.endswith("]")):
        raise ParameterError(f"the candidates are {candidate}; write them as [('c1000', 'type')]")
    headers = [_header_of(name) for name in names]
    fixed = {**_FIXED, "dms_note": note, "is_imprt": is_imprint, "pntgtype": pointing_type}
    columns = sorted({"asn_candidate", "targetid", *fixed}.union(*headers))
    seen: set[str] = set()
    rows = []
    for name, header in zip(names, headers, strict=True):
        for needed in ("observtn", "targname"):
            if needed not in header:
                raise InputError(f"{name}: has no {needed.upper()}; a pool needs it")
        own = f"('o{header['observtn']}', 'observation')"
        more = "" if candidate is None else f", {candidate[1:-1]}"
        # As officially: a target that comes back gets the number of the last new one.
        seen.add(header["targname"])
        found = {"asn_candidate": f"[{own}{more}]", "targetid": str(len(seen))}
        row = {**header, **fixed, **found}
        rows.append({column: row.get(column, "null") for column in columns})
    return rows


def write_pool(rows: list[dict[str, str]], path: str | Path) -> None:
    """Write a pool as a table of text, its columns divided by ``|``, whole or not at all.

    Parameters
    ----------
    rows : list of dict
        At least one; see `rows_of_pool`.
    path : str or Path
        Replaced if it exists.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    from astropy.table import Table

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    table = Table(columns, dtype=[object] * len(columns))
    text = io.StringIO()
    table.write(text, format="ascii", delimiter="|")
    write_whole(text.getvalue(), path)


def _header_of(name: str) -> dict[str, str]:
    """Return the keywords of a primary header, in lower case, as text."""
    from astropy.io import fits

    try:
        header: Any = fits.getheader(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no FITS file"
        raise InputError(f"{name}: cannot be read: {reason.lower()}") from error
    found = {
        keyword.lower(): str(value)
        for keyword, value in header.items()
        if keyword not in _NOT_COLUMNS
    }
    return {**found, "filename": str(name)}
