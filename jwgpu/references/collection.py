"""The references of one call: found once, read once, kept while there is room."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, Literal

from jwgpu.errors import NotYetError, ReferenceFileError
from jwgpu.models.stripes import StripedReadout
from jwgpu.references.cache import ReferenceCache
from jwgpu.references.crds_source import NoMatchError, references_from_crds
from jwgpu.references.decode import Decoding, arrays_of, decode, is_known
from jwgpu.references.exposure import Exposure, Region
from jwgpu.references.folder import ReferenceFolder
from jwgpu.references.planes import needed_planes
from jwgpu.references.selection import stated_region
from jwgpu.references.sources import Source, name_of_model, open_source

log = logging.getLogger(__name__)

NOT_APPLICABLE = "N/A"


class References:
    """Where the steps of one exposure get their references from.

    A type is looked for in this order: what the caller overrides it with; the folder, if there is
    one; else CRDS.

    Parameters
    ----------
    overrides : callable
        Type to what overrides it: a path, "N/A", an open data model, or None.
    folder : str, Path or ReferenceFolder, optional
        Folder of reference files.
    offline : bool
        Let CRDS use its local cache only.
    cache : ReferenceCache, optional
        Keeps decoded references; shared by the exposures of a call.
    threads : int
        Threads to read a file with.

    Attributes
    ----------
    names_used : dict
        Type to the name to record in the product (keyword ``R_…``), in order of use.
    """

    def __init__(
        self,
        overrides: Callable[[str], Any] | None = None,
        folder: str | Path | ReferenceFolder | None = None,
        offline: bool = False,
        cache: ReferenceCache | None = None,
        threads: int = 1,
    ) -> None:
        self._overrides = overrides or (lambda reftype: None)
        self._folder = ReferenceFolder(folder) if isinstance(folder, str | Path) else folder
        self._offline = offline
        self._cache = ReferenceCache(0) if cache is None else cache
        self._threads = threads
        self._found: dict[Hashable, str] = {}
        self.names_used: dict[str, str] = {}

    def with_overrides(self, overrides: Callable[[str], Any]) -> References:
        """Return the same references with other overrides: for another step of the same call.

        What was found and what is kept is shared, `names_used` is not.
        """
        other = References(overrides, self._folder, self._offline, self._cache, self._threads)
        other._found = self._found
        return other

    def forget(self) -> None:
        """Forget what was decoded, to make room."""
        self._cache.clear()

    def find(self, reftype: str, meta: Any, *, optional: bool = False) -> Any:
        """Find the reference of a type for an exposure.

        Parameters
        ----------
        reftype : str
            Type, in lower case.
        meta : ObjectNode
            Metadata tree of the exposure.
        optional : bool
            Answer "N/A" where the folder or CRDS has none that fits.

        Returns
        -------
        str or data model
            Absolute path, "N/A", or the open model that overrides the type.

        Raises
        ------
        ReferenceFileError
            If there is none, or several are equally good.
        """
        override = self._overrides(reftype)
        if override is not None and override != "":
            return self._overridden(reftype, override)
        found = self._find(reftype, Exposure.from_meta(meta), optional)
        is_from_crds = self._folder is None and found != NOT_APPLICABLE
        self.names_used[reftype] = f"crds://{os.path.basename(found)}" if is_from_crds else found
        return found

    def prefetch(self, reftypes: Iterable[str], meta: Any) -> None:
        """Find references before the work starts, and fetch from CRDS all that are not here.

        Raises
        ------
        ReferenceFileError
            If one of them cannot be had; a type that has no match is left for its step to judge.
        """
        exposure = Exposure.from_meta(meta)
        wanted = [t for t in reftypes if self._overrides(t) in (None, "")]
        if self._folder is not None or not wanted:
            return
        try:
            answers = references_from_crds(wanted, exposure.crds_parameters(), self._offline)
        except NoMatchError as why:
            log.debug("looked up one by one: %s", why)
            return
        for reftype, path in answers.items():
            self._found[self._key(reftype, exposure)] = path

    def load(
        self,
        reftype: str,
        meta: Any,
        shape: tuple[int, ...],
        device: Any = None,
        *,
        optional: bool = False,
        planes: Literal["needed", "all"] = "needed",
    ) -> Any:
        """Find, read and decode the reference of a type for an exposure.

        Parameters
        ----------
        reftype : str
            Type, in lower case.
        meta : ObjectNode
            Metadata tree of the exposure.
        shape : tuple of int
            Shape of its data, (ints, groups, y, x) or (y, x).
        device : Device, optional
            Where the arrays shall be; the host if not given. Tables are always there.
        optional : bool
            Answer None where the folder or CRDS has none that fits.
        planes : {"needed", "all"}
            Of darks and resets, read the leading planes that the exposure needs, or all.

        Returns
        -------
        Reference or None
            The decoded reference (never change it); None for "N/A".

        Raises
        ------
        ReferenceFileError
            If there is none, it cannot be read, or it does not fit the exposure.
        NotYetError
            If jwgpu does not know the type.
        """
        found = self.find(reftype, meta, optional=optional)
        if isinstance(found, str) and found == NOT_APPLICABLE:
            return None
        if not is_known(reftype):
            raise NotYetError(
                f"references of type {reftype.upper()} cannot be used yet; set "
                f"override_{reftype} to N/A or skip the step"
            )
        exposure = Exposure.from_meta(meta)
        region, stripes = exposure.region(shape), exposure.stripes()
        asked = tuple(shape) if planes == "needed" else tuple(shape[-2:])
        key = _cache_key(found, reftype, exposure, (region, stripes), asked, device)
        kept = None if key is None else self._cache.get(key)
        if kept is not None:
            return kept
        with open_source(found, self._threads) as source:
            _check_kind(source, reftype, exposure)
            needed = needed_planes(reftype, source.header, exposure, asked)
            reference = decode(Decoding(source, reftype, exposure, region, needed, stripes))
        if device is not None:
            for name, array in arrays_of(reference).items():
                if array.dtype.names is None:  # tables are looked up on the host
                    setattr(reference, name, device.send(array))
        if key is not None:
            self._cache.put(key, reference)
        return reference

    def _overridden(self, reftype: str, override: Any) -> Any:
        if not isinstance(override, str | os.PathLike):
            self.names_used[reftype] = name_of_model(override)
            return override
        name = os.fspath(override)
        if name.strip() == NOT_APPLICABLE:
            self.names_used[reftype] = NOT_APPLICABLE
            return NOT_APPLICABLE
        path = os.path.abspath(name)
        if not os.path.isfile(path):
            raise ReferenceFileError(
                f"{path}: no such file; correct override_{reftype} or leave it out"
            )
        self.names_used[reftype] = path
        return path

    def _find(self, reftype: str, exposure: Exposure, optional: bool) -> str:
        key = self._key(reftype, exposure)
        found = self._found.get(key)
        # That an optional one is missing says nothing of a step that needs it.
        if found is None or (found == NOT_APPLICABLE and not optional):
            look = self._look_in_folder if self._folder is not None else self._look_in_crds
            found = self._found[key] = look(reftype, exposure, optional)
        return found

    def _key(self, reftype: str, exposure: Exposure) -> Hashable:
        return reftype, tuple(sorted((k, str(v)) for k, v in exposure.keywords.items()))

    def _look_in_folder(self, reftype: str, exposure: Exposure, optional: bool) -> str:
        assert self._folder is not None
        region = None if exposure.is_striped else stated_region(exposure.keywords)
        found = self._folder.find(reftype, exposure, region)
        if found is not None:
            return found
        why = self._folder.why_not(reftype, exposure, region)
        if optional:
            log.info("%s: no %s reference: %s", self._folder.path, reftype, why)
            return NOT_APPLICABLE
        raise ReferenceFileError(
            f"{self._folder.path}: no {reftype.upper()} reference for {exposure.name}: {why}; add "
            f"one, or set override_{reftype} to a file (or to N/A)"
        )

    def _look_in_crds(self, reftype: str, exposure: Exposure, optional: bool) -> str:
        try:
            answers = references_from_crds([reftype], exposure.crds_parameters(), self._offline)
        except NoMatchError as why:
            if optional:
                log.info("%s", why)
                return NOT_APPLICABLE
            raise NoMatchError(
                f"{exposure.name}: {why}; set override_{reftype} to a file (or to N/A)"
            ) from None
        return answers[reftype]


def _check_kind(source: Source, reftype: str, exposure: Exposure) -> None:
    stated = str(source.header.get("REFTYPE") or reftype).strip()
    if stated.lower() != reftype:
        raise ReferenceFileError(
            f"{source.path}: is a {stated} reference (REFTYPE), but {reftype.upper()} is needed; "
            f"correct override_{reftype}"
        )
    instrument = str(source.header.get("INSTRUME") or exposure.instrument).strip().upper()
    if instrument != exposure.instrument:
        raise ReferenceFileError(
            f"{source.path}: is a reference of {instrument}, but {exposure.name} is of "
            f"{exposure.instrument}; give one of {exposure.instrument}"
        )
    detector = str(source.header.get("DETECTOR") or "ANY").strip().upper()
    wanted = str(exposure.keywords.get("DETECTOR")).upper()
    if detector not in (wanted, "ANY", "N/A", "GENERIC", "MULTIPLE"):
        log.warning("%s: is of detector %s, the exposure of %s", source.path, detector, wanted)


def _cache_key(
    found: Any,
    reftype: str,
    exposure: Exposure,
    where_read: tuple[Region, StripedReadout | None],
    asked: tuple[int, ...],
    device: Any,
) -> Hashable | None:
    """Return what a decoded reference depends on; None for an open model, which may change."""
    if not isinstance(found, str):
        return None
    try:
        status = os.stat(found)
    except OSError as why:
        raise ReferenceFileError(f"{found}: cannot be read ({why.strerror})") from None
    facts = tuple(exposure.keywords.get(k) for k in ("NFRAMES", "GROUPGAP", "INTSTART"))
    readout = (*asked, *facts) if reftype in ("dark", "reset") else asked[-2:]
    where = getattr(device, "name", "cpu")
    return found, status.st_mtime_ns, status.st_size, reftype, where_read, readout, where
