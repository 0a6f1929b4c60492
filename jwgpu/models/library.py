"""A library of images: lent one at a time, kept in memory or on disk."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError, ProductError
from jwgpu.models.reading_images import read_image

#: What makes a group: exposures of all detectors that were taken together.
_GROUP_KEYS = (
    "program_number",
    "observation_number",
    "visit_number",
    "visit_group",
    "sequence_id",
    "activity_id",
    "exposure_number",
)

#: What an association's entry of a member may say that its metadata get.
_OF_MEMBERS = ("group_id", "tweakreg_catalog")


class LibraryError(RuntimeError):
    """An image was not borrowed or given back as it must be."""


class Library:
    """Images that are borrowed and given back.

    What a library lends is the caller's alone until it is back:

        with library:
            image = library.borrow(0)
            ...
            library.shelve(image, 0)

    Parameters
    ----------
    items : sequence of str, Path, Image or another dataclass of arrays
        The images, or their files, which are opened when they are first borrowed.
    entries : sequence of dict, optional
        What is known of each: ``exptype`` (default ``science``), ``group_id``,
        ``tweakreg_catalog``. By default groups are read from the keywords.
    in_memory : bool
        If false, images stay in their files, or in scratch files once they are changed, and only
        what is borrowed takes memory. Metadata stay in memory.
    open_image : callable
        Opens a file.
    scratch : str or Path, optional
        Folder for scratch files; by default the system's. They go with the library.
    table_name, pool_name : str, optional
        Names of the association and of its pool, which the metadata of each image get.
    folder : str or Path, optional
        Where the association lies.
    """

    def __init__(
        self,
        items: Sequence[Any],
        entries: Sequence[Mapping[str, Any]] | None = None,
        *,
        in_memory: bool = True,
        open_image: Callable[[Path], Any] = read_image,
        scratch: str | Path | None = None,
        table_name: str | None = None,
        pool_name: str | None = None,
        folder: str | Path | None = None,
    ) -> None:
        given = entries if entries is not None else [{} for _ in items]
        if len(given) != len(items):
            raise ValueError(f"{len(items)} images with {len(given)} entries")
        self.entries = [dict(entry) for entry in given]
        self.in_memory = in_memory
        self.folder = Path(folder) if folder is not None else None
        self._open_image = open_image
        self._of_association = {"table_name": table_name, "pool_name": pool_name}
        self._lent: dict[int, Any] = {}
        self._is_open = False
        self._scratch = None if in_memory else _Scratch(scratch)
        self._items: list[Any] = [Path(i) if isinstance(i, (str, Path)) else i for i in items]
        self._entries = [
            _entry_of(item, entry, index)
            for index, (item, entry) in enumerate(zip(self._items, given, strict=True))
        ]
        for index, item in enumerate(self._items):
            if not isinstance(item, Path):
                self._assign(item, index)
                self._keep(item, index)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def exptypes(self) -> list[str]:
        """What each image is there for."""
        return [entry["exptype"] for entry in self._entries]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Indices of the images of each group, in the order of the library.

        As the images were when the library was made: a change of their metadata does not count.
        """
        found: dict[str, list[int]] = {}
        for index, entry in enumerate(self._entries):
            found.setdefault(entry["group_id"], []).append(index)
        return found

    def indices_of(self, exptype: str) -> list[int]:
        """Return the indices of the images that are there as `exptype`, upper or lower case."""
        return [i for i, kind in enumerate(self.exptypes) if kind.lower() == exptype.lower()]

    @property
    def association(self) -> dict[str, Any]:
        """What the association says, without its products."""
        names = {"table_name": "table_name", "pool_name": "asn_pool"}
        known = self._of_association.items()
        return {names[name]: value for name, value in known if value is not None}

    @property
    def members(self) -> list[tuple[str, str, str]]:
        """File name, exptype and group of each image."""
        return [
            (_name_of(item), entry["exptype"], entry["group_id"])
            for item, entry in zip(self._items, self._entries, strict=True)
        ]

    def __enter__(self) -> Library:
        self._is_open = True
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._is_open = False
        lent, self._lent = self._lent, {}
        if kind is None and lent:
            raise LibraryError(f"{len(lent)} images were not given back: {sorted(lent)}")

    def borrow(self, index: int) -> Any:
        """Lend an image.

        Parameters
        ----------
        index : int
            Its place in the library.

        Returns
        -------
        Image
            In host memory.

        Raises
        ------
        LibraryError
            If the library is not open, or the image is lent.
        InputError
            If its file cannot be read.
        """
        self._check_open()
        if index in self._lent:
            raise LibraryError(f"image {index} is lent already")
        item = self._items[index]
        if isinstance(item, Path):
            item = self._open_image(item)
            self._assign(item, index)
            if self.in_memory:
                self._items[index] = item
        elif self._scratch is not None:
            item = self._scratch.load(item, index)
        self._lent[index] = item
        return item

    def shelve(self, image: Any, index: int | None = None, modify: bool = True) -> None:
        """Take an image back.

        Parameters
        ----------
        image : Image
            Its arrays are in host memory.
        index : int, optional
            Its place; needed if this is not the image that was lent.
        modify : bool
            Whether it takes the place of what was lent. If false, an image that is kept on disk
            stays there as it was; one in memory has changed where its arrays were changed.

        Raises
        ------
        LibraryError
            If the library is not open, or nothing was lent from this place.
        ProductError
            If a scratch file cannot be written.
        """
        self._check_open()
        index = self._place_of(image, index)
        if modify:
            self._keep(image, index)
        del self._lent[index]

    def describe(self, function: Callable[[Any, int], None]) -> None:
        """Call a function with the official data model of each image, without its arrays.

        Arrays that are on disk stay there.

        Parameters
        ----------
        function : callable
            Takes the model, which it may change, and the index. No image is lent meanwhile.
        """
        if self._lent:
            raise LibraryError(f"{len(self._lent)} images are lent: {sorted(self._lent)}")
        for index in range(len(self)):
            if isinstance(self._items[index], Path):
                with self:
                    self.shelve(self.borrow(index), index)
            function(self._items[index].model, index)

    def _place_of(self, image: Any, index: int | None) -> int:
        """Return the place that an image was lent from."""
        if index is None:
            index = next((i for i, lent in self._lent.items() if lent is image), None)
        if index is None or index not in self._lent:
            raise LibraryError("this image was not lent")
        return index

    def __iter__(self) -> Iterator[Any]:
        """Lend one image after the other; each must be given back."""
        for index in range(len(self)):
            yield self.borrow(index)

    def map(self, function: Callable[[Any, int], Any], modify: bool = True) -> Iterator[Any]:
        """Call a function with each image and its index, and give what it returns.

        An image that the function raises with is put back as it was where images are kept on
        disk; see `shelve`.
        """
        with self:
            for index in range(len(self)):
                image = self.borrow(index)
                try:
                    result = function(image, index)
                except BaseException:
                    self.shelve(image, index, modify=False)
                    raise
                self.shelve(image, index, modify)
                del image
                yield result

    def _keep(self, image: Any, index: int) -> None:
        """Keep an image, or without its arrays if these are on disk."""
        if self._scratch is not None:
            image = self._scratch.store(image, index)
        self._items[index] = image

    def _check_open(self) -> None:
        if not self._is_open:
            raise LibraryError("the library is closed: open it with a with statement")

    def _assign(self, image: Any, index: int) -> None:
        """Write into the metadata of an image what the association says of it."""
        meta, entry = image.meta, self._entries[index]
        meta.asn.exptype = entry["exptype"]
        for name in _OF_MEMBERS:
            if name in entry:
                setattr(meta, name, entry[name])
        for name, value in self._of_association.items():
            if value is not None:
                setattr(meta.asn, name, value)


class _Scratch:
    """Arrays of images in files of a folder that goes when this object does."""

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jwgpu-library-", dir=folder))
        self._names: dict[int, list[str]] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def store(self, image: Any, index: int) -> Any:
        """Write the arrays of an image; return it without them."""
        arrays = {
            field.name: getattr(image, field.name)
            for field in fields(image)
            if isinstance(getattr(image, field.name), np.ndarray)
        }
        try:
            for name, array in arrays.items():
                np.save(self._path(index, name), array, allow_pickle=False)
        except OSError as error:
            reason = error.strerror or "it cannot be written"
            raise ProductError(
                f"{self._folder}: no room for the images of a library ({reason.lower()}): set "
                "TMPDIR to a larger disk, or keep them in memory"
            ) from error
        for name in set(self._names.get(index, ())) - set(arrays):
            self._path(index, name).unlink()
        self._names[index] = list(arrays)
        return replace(image, **dict.fromkeys(arrays))

    def load(self, image: Any, index: int) -> Any:
        """Return an image with its arrays."""
        arrays = {name: np.load(self._path(index, name)) for name in self._names[index]}
        return replace(image, **arrays)

    def _path(self, index: int, name: str) -> Path:
        return self._folder / f"{index}-{name}.npy"


def group_of(observation: Mapping[str, Any]) -> str | None:
    """Return the name of the group that an exposure belongs to, as officially.

    Parameters
    ----------
    observation : mapping
        ``meta.observation``.

    Returns
    -------
    str or None
        None if a keyword is missing.
    """
    values = [observation.get(key) for key in _GROUP_KEYS]
    if any(key not in observation for key in _GROUP_KEYS):
        return None
    program, number, visit, group, sequence, activity, exposure = values
    return f"jw{program}{number}{visit}_{group}{sequence}{activity}_{exposure}"


def _entry_of(item: Any, entry: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Complete what is known of an image."""
    found = {name: entry[name] for name in ("exptype", *_OF_MEMBERS) if name in entry}
    if not isinstance(item, Path) and "exptype" not in found:
        found["exptype"] = item.meta.asn.exptype or "SCIENCE"
    found.setdefault("exptype", "science")
    if "group_id" not in found:
        found["group_id"] = _group_id_of(item) or f"exposure{index + 1:04d}"
    return found


def _name_of(item: Any) -> str:
    return item.name if isinstance(item, Path) else str(item.meta.filename)


def _group_id_of(item: Any) -> str | None:
    """Return the group that an image, or a file, says it belongs to."""
    if isinstance(item, Path):
        from stdatamodels.jwst.datamodels import read_metadata

        try:
            meta = read_metadata(str(item), flatten=False)["meta"]
        except Exception as error:  # of whichever library stumbles over a damaged file
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise InputError(f"{item}: its metadata cannot be read ({reason})") from error
        return meta.get("group_id") or group_of(meta.get("observation", {}))
    own: str | None = getattr(item.meta, "group_id", None)
    return own or group_of(item.meta.observation.instance)
