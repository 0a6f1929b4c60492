"""Libraries of official data models: ours as the official package's users know them, and theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from stpipe.library import AbstractModelLibrary

from jwgpu.models.library import Library, LibraryError
from jwgpu.models.reading_images import image_of, model_of_image

__all__ = ["BorrowedLibrary", "LentModels"]


class LentModels(AbstractModelLibrary):
    """A library of images that lends them as official data models.

    Parameters
    ----------
    library : Library
        Its images are shared, not copied.

    Attributes
    ----------
    is_passing : bool
        Whether nobody keeps the models that are lent, so that their arrays can be dropped.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.is_passing = False
        self._images: dict[int, Any] = {}
        self._models: dict[int, Any] = {}

    def __del__(self) -> None:
        """Leave the scratch files to the library."""

    def __len__(self) -> int:
        return len(self.library)

    def __enter__(self) -> LentModels:
        self.library.__enter__()
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        self._images.clear()
        self._models.clear()
        self.library.__exit__(kind, *error)

    def borrow(self, index: int) -> Any:
        """Lend an image as an official data model."""
        image = self.library.borrow(index)
        model = model_of_image(image)
        self._images[index], self._models[index] = image, model
        return model

    def shelve(self, model: Any, index: int | None = None, modify: bool = True) -> None:
        """Take an official data model back."""
        if index is None:
            index = next((i for i, lent in self._models.items() if lent is model), None)
        if index is None or index not in self._models:
            raise LibraryError("this model was not lent")
        image = image_of(model)
        keeps = self.library.in_memory and not self.is_passing
        changed: bool | set[str] = modify and not self.is_passing
        # A product may have taken the place of the file.
        if not changed and (keeps or not self.library.is_intact(index)):
            changed = self.library.in_file(index)
        self.library.shelve(image, index, changed)
        if keeps:
            model_of_image(image)  # who keeps the model, still has its arrays
        del self._models[index], self._images[index]

    @property
    def exptypes(self) -> list[str]:
        """What each model is there for."""
        return self.library.exptypes

    @property
    def group_names(self) -> set[str]:
        """Names of the groups."""
        return set(self.library.groups)

    @property
    def group_indices(self) -> dict[str, list[int]]:
        """Indices of the models of each group."""
        return self.library.groups

    def indices_for_exptype(self, exptype: str) -> list[int]:
        """Return the indices of the models that are there as `exptype`."""
        return self.library.indices_of(exptype)

    def finalize_result(self, step: Any, reference_files_used: Any) -> None:
        """Write into each model who made it; stpipe calls this."""
        self.library.describe(lambda model, _: step.finalize_result(model, reference_files_used))

    def get_crds_parameters(self) -> Any:
        """Return the metadata by which CRDS chooses: those of the first science exposure."""
        science = self.library.indices_of("science") or [0]
        found = {}

        def look(model: Any, index: int) -> None:
            if index == science[0]:
                found.update(model.get_crds_parameters())

        self.library.describe(look)
        return found

    @property
    def crds_observatory(self) -> str:
        """The observatory, for CRDS."""
        return "jwst"

    @property
    def asn(self) -> Any:
        """What the association says, as far as it is kept."""
        members = [
            {"expname": name, "exptype": exptype, "group_id": group}
            for name, exptype, group in self.library.members
        ]
        return {"products": [{"members": members}], **self.library.association}

    # What stpipe's own library needs to open files, which ours does by itself.

    def _datamodels_open(self, filename: Any, **keywords: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def _load_asn(cls, filename: Any) -> Any:
        raise NotImplementedError

    def _filename_to_group_id(self, filename: Any) -> str:
        raise NotImplementedError

    def _model_to_group_id(self, model: Any) -> str:
        return str(model.meta.group_id)


class BorrowedLibrary(Library):
    """A library over an official one, whose models it changes.

    Parameters
    ----------
    models : AbstractModelLibrary
    """

    def __init__(self, models: Any) -> None:
        self.models = models
        self.in_memory = not getattr(models, "on_disk", False)
        folder = getattr(models, "_asn_dir", None)
        self.folder = Path(folder) if folder is not None else None
        self.entries = [dict(member) for member in models.asn["products"][0]["members"]]
        self._lent: dict[int, Any] = {}
        self._is_open = False

    def __len__(self) -> int:
        return len(self.models)

    def __enter__(self) -> BorrowedLibrary:
        super().__enter__()
        self.models.__enter__()
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        try:
            super().__exit__(kind, *error)
        finally:
            self.models.__exit__(kind, *error)

    @property
    def exptypes(self) -> list[str]:
        """What each image is there for."""
        return list(self.models.exptypes)

    @property
    def groups(self) -> dict[str, list[int]]:
        """Indices of the images of each group."""
        return dict(self.models.group_indices)

    @property
    def members(self) -> list[tuple[str, str, str]]:
        """File name, exptype and group of each image."""
        return [(one["expname"], one["exptype"], one["group_id"]) for one in self.entries]

    @property
    def association(self) -> dict[str, Any]:
        """What the association says, without its products."""
        return {name: value for name, value in self.models.asn.items() if name != "products"}

    def borrow(self, index: int, *names: str) -> Any:
        """Lend an image with all its arrays; see `Library.borrow`."""
        self._check_open()
        image = image_of(self.models.borrow(index))
        self._lent[index] = image
        return image

    def shelve(
        self,
        image: Any,
        index: int | None = None,
        modify: bool | Collection[str] = True,
        amend: Callable[[Any], None] | None = None,
    ) -> None:
        """Take an image back, with all its arrays; see `Library.shelve`."""
        self._check_open()
        index = self._place_of(image, index)
        self.models.shelve(model_of_image(image), index, bool(modify))
        del self._lent[index]

    def in_file(self, index: int) -> set[str]:
        """Return nothing: the official library keeps all arrays of an image."""
        return set()

    def is_intact(self, index: int) -> bool:
        """Return true: nothing is left in files."""
        return True

    def describe(self, function: Callable[[Any, int], None]) -> None:
        """Call a function with the data model of each image, which it may change."""
        with self.models:
            for index in range(len(self)):
                model = self.models.borrow(index)
                function(model, index)
                self.models.shelve(model, index)
