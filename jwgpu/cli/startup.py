"""Starting quickly: what the libraries at the rim cost before the first exposure is opened.

Measured on 2 cores: stpipe, crds and the official data models take 0.8 s to import, and the first
data model another 0.6 s, of which two thirds go into reading asdf's manifests with the slow one of
PyYAML's two parsers. The garbage collector walks over all of it again and again, in vain.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

#: Parameters of glibc's mallopt: from which size on memory is mapped by itself, and how much free
#: memory is kept.
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1

#: A full-frame image of float32 is 16 MB.
_LARGER_THAN_AN_IMAGE = 64 << 20


def read_first_exposure(arguments: Sequence[str]) -> None:
    """Begin to read the first raw exposure of a command line while everything else is imported."""
    raw = [word for word in arguments[1:] if word.endswith("_uncal.fits")]
    is_limited = any(word.startswith(("--max-memory", "--max_memory")) for word in arguments)
    if not raw or is_limited or not os.path.isfile(raw[0]):
        return
    from jwgpu.backends import likely_device
    from jwgpu.models import reading

    device = _value_of("--device", arguments) or "auto"
    reading.read_ahead(raw[0], lambda: likely_device(device))


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Return what the words of a command line give an option; None if it is not among them."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else following
    return None


def forget_first_exposure() -> None:
    """Forget what was read and not used, where the process goes on."""
    if "jwgpu.models.reading" in sys.modules:
        sys.modules["jwgpu.models.reading"].forget_ahead()


def reuse_memory() -> None:
    """Keep freed images for the next ones; give back what is larger.

    The first touch of fresh pages costs more than reading a reference into them. Ramps and darks
    are given back all the same: kept in pieces, they would add to the peak. Does nothing where
    there is no glibc.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        mallopt(parameter, _LARGER_THAN_AN_IMAGE)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import within this context what a pipeline needs; for the command line only.

    It changes the collector of the whole process: what is imported here is never collected.
    """
    gc.disable()
    try:
        yield
        with _parsing_yaml_in_c():
            import asdf

            # Loads the extensions, as the first data model would.
            _ = asdf.get_config().extensions
        gc.freeze()
    finally:
        gc.enable()


@contextmanager
def _parsing_yaml_in_c() -> Iterator[None]:
    """Let `yaml.safe_load` use libyaml, which gives the same and is ten times faster."""
    import yaml

    slow = yaml.SafeLoader
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", slow)
    try:
        yield
    finally:
        yaml.SafeLoader = slow
