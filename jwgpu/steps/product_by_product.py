"""Several products of one run: each is saved as soon as it is done."""

from __future__ import annotations

import weakref
from typing import Any

from jwgpu.steps.base import CalibrationStep


class ProductByProduct(CalibrationStep):
    """A step or pipeline that makes several products, of which a failure loses only the later ones.

    stpipe saves what `process` returns; what `save_early` saved before is left out there.
    """

    _saved: tuple[weakref.ref[Any], ...] = ()

    def save_early(self, model: Any) -> None:
        """Save a product, if products are saved at all.

        With hooks at the end, which may change all of them, nothing is saved before.

        Parameters
        ----------
        model : JwstDataModel
            One of those that `process` will return, not changed any more. Its name is in
            ``meta.filename``.
        """
        if not self.save_results or self._post_hooks:
            return
        self.finalize_result(model, [])
        self.save_model(model)
        self._saved = (*(one for one in self._saved if one() is not None), weakref.ref(model))

    def finalize_result(self, result: Any, reference_files_used: Any) -> None:
        """Write into a result who made it, unless it is saved already."""
        if not self._is_saved(result):
            super().finalize_result(result, reference_files_used)

    def save_model(self, model: Any, *arguments: Any, **keywords: Any) -> Any:
        """Save a product, unless it is saved already."""
        if self._is_saved(model):
            return None
        return super().save_model(model, *arguments, **keywords)

    def _is_saved(self, model: Any) -> bool:
        return any(one() is model for one in self._saved)
