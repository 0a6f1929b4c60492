"""Tells the race test which kernels ran: ``-p cudasim.racing``, in the process that it starts."""

from __future__ import annotations

import os
from pathlib import Path


def pytest_sessionfinish() -> None:
    """Write the names of the kernels into the file that the environment names."""
    from cudasim.fakecupy.modules import settings

    Path(os.environ["CUDASIM_LAUNCHED"]).write_text("\n".join(sorted(settings.launched)))
