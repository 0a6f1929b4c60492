"""What the steps of stage 2 share: they change images in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jwgpu.models.images import Image
from jwgpu.models.reading_images import image_of, model_of_image, read_image
from jwgpu.steps.base import CalibrationStep


class ImageStep(CalibrationStep):
    """A step that changes an image, or the images of a time series, in place."""

    def open(self, source: Any) -> Any:
        """Open a file, or wrap an official data model, as an `Image`."""
        if isinstance(source, (str, Path)):
            from jwgpu.kernels.compiled import threads

            return read_image(source, threads())
        return image_of(source)

    def as_model(self, exposure: Image) -> Any:
        """Return the image as the official data model that it came from."""
        return model_of_image(exposure)
