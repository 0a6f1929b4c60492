"""Writes ``flags.cuh``: ``python -m jwgpu.kernels.cuda.flags``."""

from __future__ import annotations

from pathlib import Path

from jwgpu.models.flags import PIXEL

PATH = Path(__file__).with_suffix(".cuh")


def header() -> str:
    """Return the header in which CUDA kernels find the flags by their official names."""
    constants = (f"    {name} = {value:#x}u,\n" for name, value in PIXEL.items())
    return (
        "// Data-quality flags; made by `python -m jwgpu.kernels.cuda.flags`, not by hand.\n"
        "#pragma once\n\n"
        f"enum Flag : unsigned int {{\n{''.join(constants)}}};\n"
    )


if __name__ == "__main__":
    PATH.write_text(header())
