"""A pytest plugin for checks of memory on a GPU: ``-p plain_allocator``.

CuPy cuts its arrays out of large blocks that it keeps, and what a kernel writes beyond an array
then lands in a block all the same, where no checker sees it. With this each array is an
allocation of its own.
"""

from __future__ import annotations


def pytest_configure() -> None:
    """Let CuPy ask CUDA for each array."""
    import cupy

    cupy.cuda.set_allocator(None)
