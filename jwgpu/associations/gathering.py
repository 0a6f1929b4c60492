"""An association and its members, copied into one folder."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import jwgpu
from jwgpu.associations.creation import write_association
from jwgpu.associations.reading import read_content
from jwgpu.errors import InputError, ProductError

#: What the official package begins an association with; what the file says comes over it.
_DEFAULTS = {"asn_type": "None", "asn_rule": "Association", "version_id": None}


def gather(
    path: str | Path,
    folder: str | Path = ".",
    kinds: Collection[str] | None = None,
    excluded: Collection[str] = (),
    source: str | Path | None = None,
    command: str | None = None,
) -> Iterator[Path]:
    """Copy the members of an association into a folder, and then the association.

    Parameters
    ----------
    path : str or Path
        The association.
    folder : str or Path
        Where the copies go; made if it is not there.
    kinds : collection of str, optional
        Members to copy (their ``exptype``); by default all.
    excluded : collection of str
        Members to leave out.
    source : str or Path, optional
        Where the members are; by default beside the association.
    command : str, optional
        A command that copies, given source and destination; by default files that are older or of
        another size are replaced, with their times kept.

    Yields
    ------
    Path
        Each copy when it is made, the association last. It names the members without folders.

    Raises
    ------
    InputError
        If nothing is to be copied, two members have one name, or a member is missing.
    ProductError
        If a copy fails.
    """
    path, folder = Path(path), Path(folder)
    source = path.parent if source is None else Path(source)
    content = read_content(path)
    products = _chosen(content["products"], kinds, excluded)
    if not products:
        raise InputError(f"{path}: has no members of the kinds that are asked for")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(folder, "cannot be made", error) from error
    copied: dict[str, Path] = {}
    for product in products:
        for member in product["members"]:
            file = source / member["expname"]
            name = file.name
            if copied.setdefault(name, file) != file:
                raise InputError(f"{path}: two of its members are named {name}: rename one")
            _copy(file, folder / name, command)
            member["expname"] = name
            yield folder / name
    version = {"code_version": jwgpu.__version__}
    write_association({**_DEFAULTS, **version, **content, "products": products}, folder / path.name)
    yield folder / path.name


def _chosen(
    products: list[dict[str, Any]], kinds: Collection[str] | None, excluded: Collection[str]
) -> list[dict[str, Any]]:
    """Return the products with the members that are wanted, those without any left out."""
    chosen = []
    for product in products:
        members = [
            dict(member)
            for member in product["members"]
            if member["exptype"] not in excluded and (not kinds or member["exptype"] in kinds)
        ]
        name = {"name": product["name"]} if "name" in product else {}
        if members:
            chosen.append({**name, "members": members})
    return chosen


def _copy(file: Path, copy: Path, command: str | None) -> None:
    """Copy one file, with a command if there is one."""
    if not file.is_file():
        raise InputError(f"{file}: there is no such file: check the association, or --source")
    if command is not None:
        _run([*shlex.split(command), str(file), str(copy)], file)
        return
    if copy.exists() and not _is_newer(file, copy):
        return
    partial = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        shutil.copyfile(file, partial)
        shutil.copystat(file, partial)
        os.replace(partial, copy)
    except OSError as error:
        raise _failed(copy, "cannot be copied there", error) from error
    finally:
        with contextlib.suppress(OSError):  # it is not there, or its folder is not
            partial.unlink()


def _run(words: list[str], file: Path) -> None:
    """Run the command that copies a file."""
    try:
        result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        raise _failed(file, f"{words[0]} cannot be run", error) from error
    if result.returncode:
        said = result.stdout.decode(errors="replace").strip().splitlines()
        raise ProductError(f"{file}: {words[0]} failed: {said[-1] if said else 'no message'}")


def _failed(path: Path, what: str, error: OSError) -> ProductError:
    return ProductError(f"{path}: {what}: {(error.strerror or str(error)).lower()}")


def _is_newer(file: Path, copy: Path) -> bool:
    """Whether a copy must be made again; one of the same file always is up to date."""
    ours, theirs = file.stat(), copy.stat()
    if os.path.samestat(ours, theirs):
        return False
    return ours.st_mtime > theirs.st_mtime or ours.st_size != theirs.st_size
