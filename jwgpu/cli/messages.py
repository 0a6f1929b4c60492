"""What the user reads when something is wrong: one line, what, and what to do."""

from __future__ import annotations

import difflib
import errno
import os
import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jwgpu.errors import JwgpuError

if TYPE_CHECKING:
    import click

OK = 0
FAILED = 1
USAGE = 2
NO_SCIENCE_DATA = 64
INTERRUPTED = 130

_NO_MEMORY = "not enough memory: close other programs, or calibrate on a larger machine"

#: Whether tracebacks are wanted; set by ``--debug``.
debugging = False


def complain(message: str) -> None:
    """Print one error line on stderr."""
    print(f"jwgpu: error: {one_line(message)}", file=sys.stderr, flush=True)


def one_line(text: str) -> str:
    """Join the lines of a message."""
    return " ".join(text.split())


def closest(name: str, names: Iterable[str], prefix: str = "") -> str:
    """Suggest the names nearest to a wrong one; empty if none is near.

    A name that ends with the given one after a dot is nearest: ``rejection_threshold`` means
    ``steps.jump.rejection_threshold``.
    """
    names = list(names)
    near = [known for known in names if known.endswith(f".{name}")][:3]
    if not near:
        likeness = {known: difflib.SequenceMatcher(None, name, known).ratio() for known in names}
        best = max(likeness.values(), default=0.0)
        near = [known for known in names if likeness[known] >= max(0.7, best - 0.03)][:3]
    if not near:
        return ""
    return "did you mean " + " or ".join(f"{prefix}{known}" for known in near) + "?"


def unknown_option(error: click.NoSuchOption) -> str:
    """Say that an option does not exist, and which may have been meant."""
    wrong = error.option_name.lstrip("-").replace("-", "_").partition("=")[0]
    known = []
    command = "jwgpu"
    if error.ctx is not None:
        command = error.ctx.command_path
        for parameter in error.ctx.command.params:
            known += [word.lstrip("-") for word in parameter.opts if word.startswith("--")]
    spelled = {name.replace("-", "_"): name for name in known}
    suggestion = closest(wrong, spelled, prefix="--")
    for plain, name in spelled.items():
        suggestion = suggestion.replace(f"--{plain}", f"--{name}")
    option = error.option_name.partition("=")[0]
    return f"{command} has no option {option}: {suggestion or f'see {command} --help'}"


def usage(error: click.ClickException) -> str:
    """Write a usage error of click as one line."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if context is None or ": " in message:
        return message
    return f"{message}: see {context.command_path} --help"


def is_unexpected(error: BaseException) -> bool:
    """Whether an exception is none that was raised for the user to read."""
    import click

    expected = isinstance(error, (JwgpuError, OSError, MemoryError, click.ClickException))
    return not expected and getattr(error, "exit_status", None) is None


def exit_status(error: BaseException) -> int:
    """Exit status that an exception asks for (stpipe's too), else 1."""
    status = getattr(error, "exit_status", FAILED)
    return status if isinstance(status, int) else FAILED


def unexpected(error: BaseException) -> str:
    """Describe an exception that nobody foresaw."""
    if isinstance(error, SystemExit):
        return f"a library ended the run (status {error.code}): run again with --verbose"
    text = one_line(str(error))
    kind = type(error).__name__
    return f"{kind}{': ' if text else ''}{text}: run again with --debug for the traceback"


def of_command(error: BaseException) -> str:
    """Describe what ended a command."""
    if isinstance(error, MemoryError):
        return _NO_MEMORY
    if isinstance(error, OSError) and isinstance(error.filename, (str, os.PathLike)):
        return _operating_system(os.fspath(error.filename), error)
    return str(error)


def about(file: str, error: BaseException) -> str:
    """Describe what went wrong with one file: the file, what is wrong, what to do."""
    if isinstance(error, MemoryError):
        text = _NO_MEMORY
    elif isinstance(error, OSError):
        text = _operating_system(file, error)
    elif isinstance(error, SystemExit) or is_unexpected(error):
        text = unexpected(error)
    else:
        text = one_line(str(error))
    return text if os.path.basename(file) in text else f"{file}: {text}"


def _operating_system(file: str, error: OSError) -> str:
    """Describe an error of the operating system, which names a file of its own."""
    what_to_do = {
        errno.ENOSPC: "make room, or choose another --output-dir",
        errno.EDQUOT: "make room, or choose another --output-dir",
        errno.EACCES: "change the permissions, or choose another --output-dir",
        errno.EPERM: "change the permissions, or choose another --output-dir",
        errno.EROFS: "choose another --output-dir",
        errno.ENOENT: "check the name",
        errno.EISDIR: "give a file",
        errno.ENOTDIR: "check the name",
    }.get(error.errno or 0, "run again with --debug for the traceback")
    what = error.strerror.lower() if error.strerror else one_line(str(error))
    where = os.fspath(error.filename) if isinstance(error.filename, (str, os.PathLike)) else ""
    if where and os.path.basename(file) not in where:
        what = f"{where}: {what}"
    return f"{file}: {what}: {what_to_do}"


def summary(failures: list[tuple[str, str]], total: int) -> str:
    """Tabulate what failed.

    Parameters
    ----------
    failures
        Pairs of file and message.
    total
        Number of inputs.
    """
    width = max(len(file) for file, _ in failures)
    rows = [f"jwgpu: {len(failures)} of {total} inputs failed:"]
    for file, message in failures:
        reason = message.removeprefix(f"{file}: ")
        indent = " " * (width + 4)
        wrapped = textwrap.wrap(reason, max(40, 100 - width - 4), break_long_words=False) or [""]
        rows.append(f"  {file:<{width}}  " + f"\n{indent}".join(wrapped))
    return "\n".join(rows)
