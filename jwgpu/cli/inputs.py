"""Which files a command line means."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from jwgpu.errors import InputError, ParameterError
from jwgpu.steps.registry import Entry
from jwgpu.steps.suffixes import remove_suffix


def expand(words: Sequence[str], entry: Entry, input_dir: str | None = None) -> list[str]:
    """List the exposures that the words of a command line mean.

    A folder means the exposures in it that the pipeline starts from; a pattern that the shell
    left alone is expanded; everything else is taken as it is, also where there is no such file,
    so that one bad name does not keep the others from being calibrated.

    Parameters
    ----------
    words
        Files, folders and patterns.
    entry
        The pipeline or step that will run.
    input_dir
        Folder of names that have none, like stpipe's parameter of that name.

    Returns
    -------
    list of str
        Paths, in the order given, folders and patterns sorted by name.
    """
    files: list[str] = []
    for word in words:
        path = _in_folder(os.path.expanduser(word), input_dir)
        if os.path.isdir(path):
            files += _exposures_in(path, entry) or [path]
        elif not os.path.exists(path) and any(sign in path for sign in "*?["):
            files += sorted(glob.glob(path)) or [path]
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def check_exists(path: str, entry: Entry) -> None:
    """Raise if a path is not a file that a pipeline or step may start from.

    Raises
    ------
    InputError
        If there is no such file, or it is a folder without exposures.
    """
    if os.path.isdir(path):
        wanted = " or ".join(f"*_{_ending(suffix)}" for suffix in entry.starts_from)
        raise InputError(f"{path}: no {wanted} in this folder: name the files to calibrate")
    if not os.path.exists(path):
        raise InputError(f"{path}: there is no such file: check the name")


def check_products_differ(files: Sequence[str], output_file: str | None) -> None:
    """Raise if two inputs would write the same product.

    Raises
    ------
    ParameterError
        If so; the name of a product comes from the name of its input.
    """
    if output_file and len(files) > 1:
        raise ParameterError(
            f"--output-file is one name, but there are {len(files)} inputs: "
            "give one input, or --output-dir"
        )
    first: dict[str, str] = {}
    for file in files:
        other = first.setdefault(_root_of(file), file)
        if other != file:
            raise ParameterError(
                f"{other} and {file} would write the same product: calibrate them in two calls "
                "with different --output-dir"
            )


def _root_of(file: str) -> str:
    """Return what the names of the products of an input have in common."""
    stem, extension = os.path.splitext(os.path.basename(file))
    if extension.lower() != ".fits":
        return stem + extension
    # What has an image for each integration has products of its own: _rateints -> _calints.
    return remove_suffix(stem)[0] + ("ints" if stem.endswith("ints") else "")


def _in_folder(path: str, input_dir: str | None) -> str:
    """Put a bare name into the input folder."""
    if input_dir and not os.path.dirname(path) and not os.path.exists(path):
        return os.path.join(input_dir, path)
    return path


def _exposures_in(folder: str, entry: Entry) -> list[str]:
    """List what a pipeline or step starts from in a folder."""
    for suffix in entry.starts_from:
        found = glob.glob(os.path.join(glob.escape(folder), f"*_{_ending(suffix)}"))
        if found:
            return sorted(found)
    return []


def _ending(suffix: str) -> str:
    """Return how the name of a file ends that a pipeline starts from."""
    return suffix if "." in suffix else f"{suffix}.fits"
