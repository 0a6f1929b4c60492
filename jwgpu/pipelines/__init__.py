"""Pipelines: the order of steps, and nothing else."""

from __future__ import annotations

from typing import Any

_HOMES = {
    "DarkPipeline": "jwgpu.pipelines.dark",
    "Detector1Pipeline": "jwgpu.pipelines.detector1",
    "GuiderPipeline": "jwgpu.pipelines.guider",
    "Image2Pipeline": "jwgpu.pipelines.image2",
    "Image3Pipeline": "jwgpu.pipelines.image3",
}

__all__ = [
    "DarkPipeline",
    "Detector1Pipeline",
    "GuiderPipeline",
    "Image2Pipeline",
    "Image3Pipeline",
]


def __getattr__(name: str) -> Any:
    """Import a pipeline when first asked for, so that importing this package costs nothing."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
