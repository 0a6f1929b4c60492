"""Templates: what is in a product, and where each keyword and array comes from.

The format, line by line (a backslash at its end continues a line)::

    <<file level1b>>                 the kind of product
    <<header primary>>               starts an HDU
    KEYWORD = expression / comment   a keyword, by a Python expression
    / Heading                        a heading among the keywords
    #include "other.gen.inc"         another file, in place
    # remark                         ignored
    <<data>>                         then one expression: the array of this HDU

The first ``/`` outside of quotes and brackets starts the comment: put divisions in parentheses.
Expressions are Python and can do what Python can: use templates that you trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jwgpu.errors import InputError

#: The templates that come with the package; included files are looked for here as well.
FOLDER = Path(__file__).parent / "templates"

_SECTION = re.compile(r"<<\s*(\w+)\s*(.*?)\s*>>")
_INCLUDE = re.compile(r"#include\s+(['\"])(.+?)\1\s*")
_KEYWORD = re.compile(r"([A-Z0-9_-]+)\s*=(.*)", re.DOTALL)
_DEPTH = 20


@dataclass(frozen=True)
class Line:
    """One line, continuation lines joined, and where it stands."""

    text: str
    place: str


@dataclass(frozen=True)
class Card:
    """One keyword, or with an empty name a heading.

    Attributes
    ----------
    keyword : str
    expression : str
        Empty if the value is left to whoever writes the file (BITPIX, NAXIS).
    comment : str
    place : str
        File and line, for messages.
    """

    keyword: str
    expression: str
    comment: str
    place: str


@dataclass
class Hdu:
    """One header and, if there is one, the expression of its data."""

    name: str
    cards: list[Card] = field(default_factory=list)
    data: str = ""
    place: str = ""


@dataclass
class Template:
    """A product: the name of its kind, and its HDUs."""

    name: str
    hdus: list[Hdu] = field(default_factory=list)


def read_template(path: str | Path) -> Template:
    """Read a template file.

    Raises
    ------
    InputError
        If it cannot be read or understood; the message names file and line.
    """
    path = Path(path)
    return parse_template(_read(path, str(path)), path)


def parse_template(text: str, path: str | Path = "template") -> Template:
    """Read a template from its text.

    Parameters
    ----------
    text : str
    path : str or Path
        Where it comes from: included files are looked for beside it first.

    Raises
    ------
    InputError
        If it cannot be understood.
    """
    template: Template | None = None
    in_data = False
    for line in _lines(text, Path(path), 0):
        section = _SECTION.fullmatch(line.text)
        if section:
            kind, name = section[1], section[2]
            if kind == "file" and template is None:
                template = Template(_identifier(name, line))
            elif kind == "header" and template is not None:
                template.hdus.append(Hdu(_identifier(name, line), place=line.place))
                in_data = False
            elif kind == "data" and template is not None and template.hdus and not in_data:
                if name:
                    raise InputError(f"{line.place}: <<data>> takes no name")
                in_data = True
            else:
                raise InputError(f"{line.place}: {line.text} cannot stand here")
        elif template is None:
            raise InputError(f"{line.place}: a template starts with <<file NAME>>")
        elif not template.hdus:
            raise InputError(f"{line.place}: only <<header NAME>> may follow <<file>>")
        elif in_data:
            hdu = template.hdus[-1]
            hdu.data, hdu.place = f"{hdu.data} {line.text}".strip(), line.place
        else:
            template.hdus[-1].cards.append(_card(line))
    if template is None:
        raise InputError(f"{path}: is empty; a template starts with <<file NAME>>")
    return template


def _lines(text: str, path: Path, depth: int) -> Iterator[Line]:
    """Give the lines that count, with included files in place."""
    if depth > _DEPTH:
        raise InputError(f"{path}: includes itself")
    joined, start = "", 0
    for number, raw in enumerate([*text.splitlines(), ""], start=1):
        start = start if joined else number
        if raw.rstrip().endswith("\\"):
            joined += raw.rstrip()[:-1] + " "
            continue
        line, joined = (joined + raw).strip(), ""
        place = f"{path}:{start}"
        include = _INCLUDE.fullmatch(line)
        if include:
            found = [folder / include[2] for folder in (path.parent, FOLDER)]
            found = [file for file in found if file.is_file()]
            if not found:
                raise InputError(f"{place}: there is no {include[2]} to include")
            yield from _lines(_read(found[0], place), found[0], depth + 1)
        elif line and not line.startswith("#"):
            yield Line(line, place)


def _card(line: Line) -> Card:
    if line.text.startswith("/"):
        return Card("", "", line.text[1:].strip(), line.place)
    match = _KEYWORD.fullmatch(line.text)
    if match is None:
        raise InputError(f"{line.place}: is neither KEYWORD = expression / comment nor a section")
    keyword = match[1]
    if len(keyword) > 8:
        raise InputError(f"{line.place}: {keyword} has more than 8 characters")
    expression, comment = split_comment(match[2])
    return Card(keyword, expression, comment, line.place)


def split_comment(text: str) -> tuple[str, str]:
    """Split at the first ``/`` that stands outside of quotes and brackets."""
    quote, depth = "", 0
    for position, sign in enumerate(text):
        if quote:
            # An escaped quote does not end the text.
            if sign == quote and text[position - 1] != "\\":
                quote = ""
        elif sign in "'\"":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == "/" and depth <= 0:
            return text[:position].strip(), text[position + 1 :].strip()
    return text.strip(), ""


def _identifier(name: str, line: Line) -> str:
    if not name.isidentifier():
        raise InputError(f"{line.place}: {name!r} is no name; letters, digits and _ make one")
    return name


def _read(path: Path, place: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{place}: {path.name} cannot be read: {reason.lower()}") from error
