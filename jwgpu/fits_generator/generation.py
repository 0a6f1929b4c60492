"""Making a product from a template and its sources."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import jwgpu
from jwgpu.errors import InputError
from jwgpu.fits_generator.template import Card, Hdu, Template
from jwgpu.fits_generator.times import group_table, int_times

#: Keywords that follow from the data; a template may name them, but what it says does not count.
_STRUCTURE = frozenset(
    (
        *("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "TFIELDS"),
        *("BSCALE", "BZERO", "END"),
    )
)

_EPOCH = datetime.datetime(1958, 1, 1)


class Source:
    """A function of a template: keywords of a raw file, or of data beside it.

    Parameters
    ----------
    headers : sequence of mapping
        The keywords of each HDU.
    hdus : sequence
        What ``source[0]`` gives; the headers if not given.
    """

    def __init__(self, headers: list[Mapping[str, Any]], hdus: Any = None) -> None:
        self._headers = headers
        self._hdus = headers if hdus is None else hdus
        self.keyword = ""
        self.hdu = 0

    def __call__(self, key: str | None = None, hdu: int | None = None, default: Any = None) -> Any:
        """Return a keyword's value, by default that of the keyword and HDU being made.

        Text without the blanks around it; `default` where it is not there.
        """
        index = self.hdu if hdu is None else hdu
        if index >= len(self._headers):
            return default
        value = self._headers[index].get(key or self.keyword, default)
        return value.strip() if isinstance(value, str) else value

    def __getitem__(self, item: Any) -> Any:
        return self._hdus[item]


def generate(
    template: Template, raw: Any, sources: Mapping[str, Mapping[str, Any]] | None = None
) -> Any:
    """Make a product.

    Parameters
    ----------
    template : Template
        What is in it.
    raw : HDUList
        What the expressions call ``input``.
    sources : mapping of str to mapping, optional
        Further functions of the expressions: their names, and the keywords that they know.

    Returns
    -------
    HDUList
        A keyword whose value is None, and an HDU after the first whose data are None, are left
        out.

    Raises
    ------
    InputError
        If an expression fails; the message names file and line.
    """
    from astropy.io import fits

    functions = {"input": Source([hdu.header for hdu in raw], raw)}
    functions |= {name: Source([keywords]) for name, keywords in (sources or {}).items()}
    output = fits.HDUList()
    for index, hdu in enumerate(template.hdus):
        made = _hdu(hdu, index, functions, raw, output)
        if made is not None:
            output.append(made)
    return output


def read_data_file(template: Template) -> dict[str, Any]:
    """Evaluate the keywords of a data file, which is a template without sources."""
    keywords: dict[str, Any] = {}
    for hdu in template.hdus:
        for card in hdu.cards:
            if card.keyword and card.expression:
                keywords[card.keyword] = evaluate(card.expression, card.place, dict(_GENERATORS))
    return keywords


def evaluate(expression: str, place: str, names: dict[str, Any]) -> Any:
    """Evaluate an expression of a template.

    Raises
    ------
    InputError
        If it fails.
    """
    try:
        return eval(compile(expression, place, "eval"), dict(names))
    except Exception as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{place}: {expression} failed: {type(error).__name__}: {reason}"
        ) from error


def _hdu(hdu: Hdu, index: int, functions: dict[str, Source], raw: Any, output: Any) -> Any:
    import numpy as np
    from astropy.io import fits

    header = fits.Header()
    for card in hdu.cards:
        _add(header, card, index, functions, output)
    data = None
    if hdu.data:
        data = evaluate(
            hdu.data, hdu.place, {**_GENERATORS, "np": np, "input": raw, "output": output}
        )
        if data is not None and not isinstance(data, np.ndarray):
            raise InputError(f"{hdu.place}: the data of {hdu.name} are no array but {type(data)}")
    if index == 0:
        return fits.PrimaryHDU(data, header)
    if data is None and hdu.data:
        return None
    is_table = data is not None and data.dtype.names is not None
    return (fits.BinTableHDU if is_table else fits.ImageHDU)(data, header)


def _add(header: Any, card: Card, index: int, functions: dict[str, Source], output: Any) -> None:
    if not card.keyword:
        for text in ("", card.comment, ""):
            header.append(("", text), end=True)
        return
    is_structure = card.keyword in _STRUCTURE or card.keyword.startswith("NAXIS")
    if is_structure or not card.expression:
        return
    for function in functions.values():
        function.keyword, function.hdu = card.keyword, index
    value = evaluate(card.expression, card.place, {**_GENERATORS, **functions, "output": output})
    if value is None:
        return
    value = value.item() if hasattr(value, "item") else value
    try:
        header.remove(card.keyword, ignore_missing=True)
        # At the end: by itself, astropy would put it before the headings.
        header.append((card.keyword, value, card.comment), end=True)
    except ValueError as error:
        raise InputError(f"{card.place}: {card.keyword} cannot be {value!r} ({error})") from error


def date_and_time_to_cds(date: str, time: str) -> int:
    """Return a date and a time as a day-segmented time code of CCSDS.

    Days since 1958-01-01 in 16 bits, milliseconds of the day in 32, microseconds of the
    millisecond in 16, as one number.
    """
    since = datetime.datetime.fromisoformat(f"{date}T{time}") - _EPOCH
    milliseconds, microseconds = divmod(since.seconds * 1_000_000 + since.microseconds, 1000)
    return (since.days << 48) | (milliseconds << 16) | microseconds


def now(date_only: bool = False) -> str:
    """Return the time in UTC as FITS writes it, or the date alone."""
    time = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return time.date().isoformat() if date_only else time.isoformat(timespec="seconds")


def to_mjd(time: str | None) -> float | None:
    """Return a time, as FITS writes it, as Modified Julian Date; None if it is none."""
    try:
        since = datetime.datetime.fromisoformat(str(time)) - datetime.datetime(1858, 11, 17)
    except ValueError:
        return None
    return since / datetime.timedelta(days=1)


def from_fits_time(text: str) -> datetime.datetime:
    """Return a time that FITS writes as a `datetime`, to compute with."""
    return datetime.datetime.fromisoformat(text)


def to_fits_time(time: datetime.datetime) -> str:
    """Return a `datetime` as FITS writes it."""
    return time.isoformat(timespec="milliseconds")


def substr(value: str, start: int = 0, end: int | None = None) -> str:
    """Return part of a text.

    Raises
    ------
    ValueError
        If the text is shorter than that.
    """
    if max(start, end or 0) > len(value):
        raise ValueError(f"{value!r} has no characters {start} to {end}")
    return value[start:end]


def mapped(value: Any, mapping: Mapping[Any, Any]) -> Any:
    """Return what `mapping` has for a value.

    Raises
    ------
    ValueError
        If it has nothing.
    """
    if value not in mapping:
        raise ValueError(f"{value!r} is none of {', '.join(map(repr, mapping))}")
    return mapping[value]


#: What every expression may call, under the names of the documents and of older templates.
_GENERATORS: dict[str, Any] = {
    "date_and_time_to_cds": date_and_time_to_cds,
    "now": now,
    "toMJD": to_mjd,
    "fromfitstime": from_fits_time,
    "tofitstime": to_fits_time,
    "substr": substr,
    "map": mapped,
    "version": lambda: jwgpu.__version__,
    "group_table": group_table,
    "int_times": int_times,
    "T": True,
    "F": False,
}
