"""A library of images: lent one at a time, kept in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from jwgpu.models.reading_images import ARRAYS, open_image
from jwgpu.models.stored_images import InFile, ScratchImages

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
            image = library.borrow(0, "data", "dq")
            ...
            library.shelve(image, 0)

    Arrays stay in the file of their image until they are changed: each time they are lent, they
    are read.

    Parameters
    ----------
    items : sequence of str, Path, Image or another dataclass of arrays
        The images, or their files, whose metadata are read at once.
    entries : sequence of dict, optional
        What is known of each: ``exptype`` (default ``science``), ``group_id``,
        ``tweakreg_catalog``. By default groups are read from the keywords.
    in_memory : bool
        If false, arrays that were changed are kept in scratch files, and only what is borrowed
        takes memory. Metadata stay in memory.
    open_image : callable
        Reads the metadata of a file; see `jwgpu.models.reading_images.open_image`.
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
        open_image: Callable[[Path], Any] = open_image,
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
        self._of_association = {"table_name": table_name, "pool_name": pool_name}
        self._lent: dict[int, Any] = {}
        self._is_open = False
        self._scratch = None if in_memory else ScratchImages(scratch)
        self._items: list[Any] = []
        self._entries: list[dict[str, Any]] = []
        self._files: list[InFile] = []
        for index, (item, entry) in enumerate(zip(items, given, strict=True)):
            is_file = isinstance(item, (str, Path))
            image = open_image(Path(item)) if is_file else item
            self._files.append(
                InFile(Path(item), {name for name, *_ in ARRAYS}) if is_file else InFile()
            )
            self._items.append(image)
            self._entries.append(_entry_of(image, entry, index, is_file))
            self._assign(image, index)
            if not is_file:
                self._keep(image, index, _arrays_of(image))

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
            (
                file.path.name if file.path is not None else str(item.meta.filename),
                entry["exptype"],
                entry["group_id"],
            )
            for item, file, entry in zip(self._items, self._files, self._entries, strict=True)
        ]

    def __enter__(self) -> Library:
        self._is_open = True
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self._is_open = False
        lent, self._lent = self._lent, {}
        if kind is None and lent:
            raise LibraryError(f"{len(lent)} images were not given back: {sorted(lent)}")

    def borrow(self, index: int, *names: str) -> Any:
        """Lend an image.

        Parameters
        ----------
        index : int
            Its place in the library.
        *names : str
            Arrays that are needed, as ``"data", "dq"``; all by default. Others may be None.

        Returns
        -------
        Image
            In host memory.

        Raises
        ------
        LibraryError
            If the library is not open, or the image is lent.
        InputError
            If its file cannot be read, or is another one by now.
        """
        self._check_open()
        if index in self._lent:
            raise LibraryError(f"image {index} is lent already")
        image, file = self._items[index], self._files[index]
        if self._scratch is not None:
            image = replace(image, **self._scratch.load(index))
        image = file.complete(image, names)
        if file.is_slow and self.in_memory:
            file.names -= file.lent
            self._items[index] = image
        self._lent[index] = image
        return image

    def shelve(
        self,
        image: Any,
        index: int | None = None,
        modify: bool | Collection[str] = True,
        amend: Callable[[Any], None] | None = None,
    ) -> None:
        """Take an image back.

        Parameters
        ----------
        image : Image
            Its arrays are in host memory.
        index : int, optional
            Its place; needed if this is not the image that was lent.
        modify : bool or collection of str
            Whether its arrays take the place of what was lent, or which of those that were read
            from its file do: others stay there as they were. What was in memory has changed where
            it was changed; metadata are changed in any case.
        amend : callable, optional
            Changes the image, in place, whenever arrays are lent from its file from now on, so that
            they agree with those that were changed.

        Raises
        ------
        LibraryError
            If the library is not open, or nothing was lent from this place.
        ProductError
            If a scratch file cannot be written.
        """
        self._check_open()
        index = self._place_of(image, index)
        file = self._files[index]
        if modify:
            changed = file.lent if modify is True else file.lent & set(modify)
            self._keep(image, index, _arrays_of(image) - (file.names - changed))
        file.amend = amend or file.amend
        del self._lent[index]

    def in_file(self, index: int) -> set[str]:
        """Return the names of the arrays that are read from the file of an image."""
        return set(self._files[index].names)

    def is_intact(self, index: int) -> bool:
        """Whether what is left in the file of an image is there still."""
        return self._files[index].is_intact

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

    def map(
        self,
        function: Callable[[Any, int], Any],
        modify: bool | Collection[str] = True,
        names: Collection[str] = (),
        amend: Callable[[Any], None] | None = None,
    ) -> Iterator[Any]:
        """Call a function with each image and its index, and give what it returns.

        ``names`` are the arrays that it needs, all by default; see `borrow` and `shelve`. An
        image that the function raises with is put back as it was, but for what is in memory.
        """
        with self:
            for index in range(len(self)):
                image = self.borrow(index, *names)
                try:
                    result = function(image, index)
                except BaseException:
                    self.shelve(image, index, modify=False)
                    raise
                self.shelve(image, index, modify, amend)
                del image
                yield result

    def _keep(self, image: Any, index: int, names: Collection[str]) -> None:
        """Keep some arrays of an image, in memory or on disk, and its metadata."""
        arrays = {name: getattr(image, name) for name in names}
        self._files[index].names -= set(names)
        if self._scratch is not None:
            self._scratch.store(arrays, index)
            arrays = dict.fromkeys(arrays)
        self._items[index] = replace(self._items[index], model=image.model, **arrays)

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


def _arrays_of(image: Any) -> set[str]:
    """Return the names of what a dataclass holds besides its model."""
    return {one.name for one in fields(image)} - {"model"}


def _entry_of(image: Any, entry: Mapping[str, Any], index: int, is_file: bool) -> dict[str, Any]:
    """Complete what is known of an image."""
    found = {name: entry[name] for name in ("exptype", *_OF_MEMBERS) if name in entry}
    if not is_file and "exptype" not in found:
        found["exptype"] = image.meta.asn.exptype or "SCIENCE"
    found.setdefault("exptype", "science")
    if "group_id" not in found:
        own = getattr(image.meta, "group_id", None) or group_of(image.meta.observation.instance)
        found["group_id"] = own or f"exposure{index + 1:04d}"
    return found
