"""The command line: names, options, progress, messages and exit status; no science.

`main` is the console script. Everything else is imported when a command needs it, so that
``jwgpu --help`` does not wait for libraries that it does not use.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line.

    Parameters
    ----------
    arguments
        Words after ``jwgpu``; by default those of this process.

    Returns
    -------
    int
        Exit status: 0, 1 (failed), 2 (usage), 64 (no science data), 130 (interrupted).
    """
    from jwgpu.cli.commands import run

    return run(list(sys.argv[1:] if arguments is None else arguments))
