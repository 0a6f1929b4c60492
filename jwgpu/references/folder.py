"""References from a folder, matched to an exposure by their headers as CRDS would."""

from __future__ import annotations

import datetime
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jwgpu.errors import ReferenceFileError
from jwgpu.models.fits_arrays import FitsFile
from jwgpu.references.exposure import Exposure, Region, keywords_of
from jwgpu.references.selection import INDEXED, compare, is_used

log = logging.getLogger(__name__)

_EARLIEST = datetime.datetime.min

#: Types that differ with the readout of the subarray, not only with the pixels in it.
_DEPEND_ON_READOUT = ("dark", "reset", "superbias")

# Headers stay known within a process: path to (size, time of change, keywords).
_known: dict[str, tuple[int, int, Mapping[str, Any] | None]] = {}


@dataclass(frozen=True)
class _Candidate:
    path: str
    keywords: Mapping[str, Any]
    weight: float
    use_after: datetime.datetime

    @property
    def version(self) -> int:
        """The serial number that CRDS gives to the files it delivers; 0 for all others."""
        match = re.search(r"^jwst_[a-z]+_.+_(\d{4,})\.\w+$", os.path.basename(self.path))
        return int(match[1]) if match else 0


class ReferenceFolder:
    """The reference files in a folder and the folders below it.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    ReferenceFileError
        If there is no such folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        if not os.path.isdir(self.path):
            raise ReferenceFileError(
                f"{path}: no such folder; --references takes a folder of reference files"
            )
        self._files = dict(_references(self.path))

    def find(self, reftype: str, exposure: Exposure, region: Region | None = None) -> str | None:
        """Find the best file of a type for an exposure.

        Parameters
        ----------
        reftype : str
            Type, in lower case.
        exposure : Exposure
        region : Region, optional
            Part of the detector that was read.

        Returns
        -------
        str or None
            Absolute path; "N/A" if the instrument does not use the type; None if nothing fits.

        Raises
        ------
        ReferenceFileError
            If several files fit equally well.
        """
        if not is_used(reftype, exposure.instrument):
            return "N/A"
        candidates = [c for c in self._judge(reftype, exposure, region) if not isinstance(c, str)]
        if not candidates:
            return None
        ranked = sorted(candidates, key=lambda c: (c.weight, c.use_after, c.version), reverse=True)
        best, *others = ranked
        for other in others[:1]:
            if (other.weight, other.use_after, other.version) == (
                best.weight,
                best.use_after,
                best.version,
            ):
                raise ReferenceFileError(
                    f"{self.path}: {os.path.relpath(best.path, self.path)} and "
                    f"{os.path.relpath(other.path, self.path)} are equally good {reftype.upper()} "
                    f"references; remove one, or choose with override_{reftype}"
                )
        self._tell(reftype, best, exposure)
        return best.path

    def why_not(self, reftype: str, exposure: Exposure, region: Region | None = None) -> str:
        """Say in one line why no file of a type fits, and what there is."""
        reasons = [r for r in self._judge(reftype, exposure, region) if isinstance(r, str)]
        if reasons:
            shown = "; ".join(reasons[:4]) + ("; …" if len(reasons) > 4 else "")
            return f"none of its {reftype.upper()} files fits: {shown}"
        types = sorted({str(k.get("REFTYPE", "")).upper() for k in self._files.values()} - {""})
        return f"it holds no {reftype.upper()} file (it has: {', '.join(types) or 'no references'})"

    def _judge(
        self, reftype: str, exposure: Exposure, region: Region | None
    ) -> Iterator[_Candidate | str]:
        """Go through the files of a type: a candidate, or why it is none."""
        taken = _date(exposure.keywords.get("DATE-OBS"), exposure.keywords.get("TIME-OBS"))
        for path, keywords in self._files.items():
            name = os.path.relpath(path, self.path)
            if str(keywords.get("REFTYPE", "")).strip().lower() != reftype:
                continue
            instrument = str(keywords.get("INSTRUME", "")).strip().upper()
            if instrument != exposure.instrument:
                yield f"{name} (INSTRUME is {instrument or 'missing'}, not {exposure.instrument})"
                continue
            found = compare(reftype, keywords, exposure, region)
            use_after = _date(keywords.get("USEAFTER")) or _EARLIEST
            if isinstance(found, str):
                yield f"{name} ({found})"
            elif taken is not None and use_after > taken:
                yield f"{name} (USEAFTER {use_after} is later than the exposure, {taken})"
            else:
                yield _Candidate(path, keywords, found, use_after)

    def _tell(self, reftype: str, best: _Candidate, exposure: Exposure) -> None:
        log.debug("%s: %s", reftype, best.path)
        asked = str(exposure.keywords.get("SUBARRAY", "")).upper()
        stated = str(best.keywords.get("SUBARRAY", "")).upper()
        if reftype in _DEPEND_ON_READOUT and stated == "FULL" and asked not in ("FULL", ""):
            log.warning(
                "%s is a full-frame %s reference: cut to %s, though it depends on the readout",
                best.path,
                reftype,
                asked,
            )


def _references(folder: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Go through the reference files of a folder: path and keywords, sorted by path."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith((".fits", ".asdf")):
                path = os.path.join(root, name)
                keywords = _keywords(path)
                if keywords is not None and "REFTYPE" in keywords:
                    yield path, keywords


def _keywords(path: str) -> Mapping[str, Any] | None:
    """Read the keywords of a file, once as long as it does not change; None if it is unreadable."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    known = _known.get(path)
    if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
        return known[2]
    keywords: Mapping[str, Any] | None
    try:
        keywords = _asdf_keywords(path) if path.lower().endswith(".asdf") else _fits_keywords(path)
    except ReferenceFileError as why:
        log.warning("not used as a reference: %s", why)
        keywords = None
    _known[path] = (status.st_size, status.st_mtime_ns, keywords)
    return keywords


def _fits_keywords(path: str) -> Mapping[str, Any]:
    with FitsFile(path, ReferenceFileError) as file:
        header = file.primary
        return {keyword: header[keyword] for keyword in INDEXED if keyword in header}


def _asdf_keywords(path: str) -> Mapping[str, Any]:
    import asdf

    try:
        with asdf.open(path, lazy_load=True) as file:
            return keywords_of(file.tree.get("meta", {}))
    except Exception as why:  # asdf and yaml raise errors of many kinds
        reason = " ".join(str(why).split())[:120]
        raise ReferenceFileError(f"{path}: cannot be read as ASDF ({reason})") from None


def _date(date: Any, time: Any = None) -> datetime.datetime | None:
    """Parse a date and time of a header; None if there is none, or none that can be understood."""
    if not date:
        return None
    text = str(date).strip() if time is None else f"{str(date).strip()}T{str(time).strip()}"
    try:
        return datetime.datetime.fromisoformat(text.replace(" ", "T", 1)).replace(tzinfo=None)
    except ValueError:
        log.warning("the date %r is not understood and not used for choosing references", text)
        return None
