"""Proposal files: which raw files there are, and their numbers as exposures of a program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jwgpu.errors import InputError

#: The nests of a proposal file, from the outside in, with the keyword and digits of each number.
LEVELS = (
    ("observation", "OBSERVTN", 3),
    ("visit", "VISIT", 3),
    ("visitgroup", "VISITGRP", 2),
    ("parallelsequenceid", "SEQ_ID", 1),
    ("activity", "ACT_ID", 2),
    ("exposure", "EXPOSURE", 5),
)


@dataclass(frozen=True)
class Exposure:
    """One raw file of a proposal.

    Attributes
    ----------
    path : Path
        The raw file, beside the proposal file.
    title : str
        Of the proposal.
    program : str
        Five digits, from the name of the proposal file.
    subarray : str
        Subarray to cut out of a full frame; empty for none.
    exposure_type : str
        What EXP_TYPE is to say; empty if the proposal does not.
    numbers : dict
        By keyword, what the place in the proposal makes of OBSERVTN, VISIT, VISITGRP, SEQ_ID,
        ACT_ID and EXPOSURE: digits, from 1.
    """

    path: Path
    title: str
    program: str
    subarray: str
    exposure_type: str
    numbers: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """Name of the product up to its detector: ``jw12345001001_01101_00001``."""
        n = self.numbers
        return (
            f"jw{self.program}{n['OBSERVTN']}{n['VISIT']}"
            f"_{n['VISITGRP']}{n['SEQ_ID']}{n['ACT_ID']}_{n['EXPOSURE']}"
        )

    @property
    def keywords(self) -> dict[str, Any]:
        """What a template asks for with ``obsid``."""
        n = self.numbers
        visit = self.program + n["OBSERVTN"] + n["VISIT"]
        return {
            "PROGRAM": self.program,
            **n,
            "VISIT_ID": visit,
            "OBS_ID": f"V{visit}P0000000{n['VISITGRP']}{n['SEQ_ID']}{n['ACT_ID']}",
            "TITLE": self.title,
            "EXP_TYPE": self.exposure_type,
            "SUBARRAY": self.subarray,
        }


def find_proposal(place: str | Path) -> Path:
    """Find the proposal file: `place` itself, or the only one in that folder.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    place = Path(place)
    if place.suffix == ".prop" and place.is_file():
        return place
    if not place.is_dir():
        raise InputError(f"{place}: there is no such folder or .prop file: check the name")
    found = sorted(place.glob("*.prop"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{place}: must hold one proposal file (12345.prop), holds {names}")
    return found[0]


def read_proposal(path: str | Path) -> list[Exposure]:
    """Read a proposal file.

    Parameters
    ----------
    path : str or Path
        ``12345.prop``; the digits are the program's number.

    Returns
    -------
    list of Exposure
        In the order of the file.

    Raises
    ------
    InputError
        If the file cannot be understood.
    """
    path = Path(path)
    if not re.fullmatch(r"\d{1,6}", path.stem):
        raise InputError(f"{path}: the name of a proposal file is its number, as in 12345.prop")
    program = f"{int(path.stem):05d}"
    try:
        proposal = ElementTree.fromstring(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from error
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: is not a proposal file ({error}); check its tags") from error
    if proposal.tag.lower() != "proposal":
        raise InputError(f"{path}: starts with <{proposal.tag}>, must start with <Proposal>")
    title = proposal.get("title", "")
    exposures = []
    for detector, numbers in _detectors(path, proposal, 0, {}):
        base = _text(detector, "base")
        if not base:
            raise InputError(f"{path}: a <Detector> without the file's name in <base>")
        exposures.append(
            Exposure(
                path=path.parent / base,
                title=title,
                program=program,
                subarray=_text(detector, "subarray").upper(),
                exposure_type=_text(detector, "exp_type").upper(),
                numbers=numbers,
            )
        )
    if not exposures:
        raise InputError(f"{path}: holds no <Detector>; there is nothing to make")
    return exposures


def _detectors(
    path: Path, element: Any, depth: int, numbers: dict[str, str]
) -> Iterator[tuple[Any, dict[str, str]]]:
    """Give each <Detector> below an element, with the numbers of the nests that it lies in."""
    expected = LEVELS[depth][0] if depth < len(LEVELS) else "detector"
    for count, child in enumerate(element, start=1):
        if child.tag.lower() != expected:
            raise InputError(
                f"{path}: <{child.tag}> in <{element.tag}>, where only <{expected}> may be"
            )
        if expected == "detector":
            yield child, numbers
            continue
        _, keyword, digits = LEVELS[depth]
        number = str(count).zfill(digits)
        if len(number) > digits:
            raise InputError(f"{path}: {count} times <{child.tag}>, more than {keyword} can count")
        yield from _detectors(path, child, depth + 1, {**numbers, keyword: number})


def _text(element: Any, name: str) -> str:
    found = [child.text for child in element if child.tag.lower() == name]
    return (found[0] or "").strip() if found else ""
