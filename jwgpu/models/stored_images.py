"""Where the arrays of a library's images lie that it does not hold in memory."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError, ProductError
from jwgpu.models.reading_images import read_arrays


@dataclass
class InFile:
    """What a library leaves in the file of an image.

    Attributes
    ----------
    path : Path or None
    names : set of str
        Arrays that are in the file alone.
    lent : set of str
        Those that were read when the image was lent last.
    amend : callable or None
        Changes what was read; see `Library.shelve`.
    """

    path: Path | None = None
    names: set[str] = field(default_factory=set)
    lent: set[str] = field(default_factory=set)
    amend: Callable[[Any], None] | None = None

    def __post_init__(self) -> None:
        self._mark = self._marked()

    def _marked(self) -> Any:
        """Return what changes when another file takes this one's place."""
        try:
            found = self.path.stat() if self.path is not None else None
        except OSError:
            return None
        return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    @property
    def is_intact(self) -> bool:
        """Whether the file is what it was when it was opened."""
        return bool(self._marked() == self._mark)

    @property
    def is_slow(self) -> bool:
        """Whether arrays are better kept than read again."""
        return self.path is not None and self.path.suffix == ".gz"

    def complete(self, image: Any, names: Collection[str]) -> Any:
        """Return an image with arrays of its file; all by default."""
        from jwgpu.kernels.compiled import threads

        self.lent = self.names & set(names) if names else set(self.names)
        if self.path is None or not self.lent:
            return image
        if not self.is_intact:
            raise InputError(
                f"{self.path}: was changed or removed while its images are combined: run again"
            )
        image = replace(image, **read_arrays(self.path, self.lent, threads()))
        if self.amend is not None:
            self.amend(image)
        return image


class ScratchImages:
    """Arrays of images in files of a folder that goes when this object does."""

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jwgpu-library-", dir=folder))
        self._names: dict[int, set[str]] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def store(self, arrays: Mapping[str, Any], index: int) -> None:
        """Write arrays of an image; those that are None are removed."""
        names = self._names.setdefault(index, set())
        try:
            for name, array in arrays.items():
                if array is not None:
                    np.save(self._path(index, name), array, allow_pickle=False)
                    names.add(name)
        except OSError as error:
            reason = error.strerror or "it cannot be written"
            raise ProductError(
                f"{self._folder}: no room for the images of a library ({reason.lower()}): set "
                "TMPDIR to a larger disk, or keep them in memory"
            ) from error
        for name in [name for name in names if name in arrays and arrays[name] is None]:
            self._path(index, name).unlink()
            names.remove(name)

    def load(self, index: int) -> dict[str, Any]:
        """Return the arrays of an image."""
        return {name: np.load(self._path(index, name)) for name in self._names.get(index, ())}

    def _path(self, index: int, name: str) -> Path:
        return self._folder / f"{index}-{name}.npy"
