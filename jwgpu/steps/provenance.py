"""What a product says of its making: software, references, CRDS context, log."""

from __future__ import annotations

import getpass
import logging
import os
import re
import socket
import time
from copy import deepcopy
from typing import Any

import jwgpu

#: An absolute path: its last part is what the log of a product keeps of it.
_PATH = re.compile(r"(?<![\w/])/(?:[^/\s]+/)+([^/\s]+)")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")


class _PublicFormatter(logging.Formatter):
    """Formats records for a product that others will read: no user, host, address or local path."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line = _PATH.sub(r"\1", super().format(record))
        is_private = _ADDRESS.search(line) or any(word in line for word in _private_words())
        return "" if is_private else line


LOG_FORMATTER = _PublicFormatter(
    "%(asctime)s.%(msecs)03d - %(name)s - %(levelname)s - %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
)


def record_reference(meta: Any, reftype: str, name: str) -> None:
    """Write the name of a reference into the keyword of its type (``R_DARK``), if it has one."""
    if meta.ref_file.hasattr(reftype) or hasattr(meta.ref_file, reftype):
        getattr(meta.ref_file, reftype).name = name


def stamp(model: Any, step: Any) -> None:
    """Write into an official data model who made it.

    Parameters
    ----------
    model : JwstDataModel
        The product; anything else is left alone.
    step : CalibrationStep
        The step or pipeline that made it; the log of a pipeline covers its steps.
    """
    if not hasattr(model, "get_crds_parameters"):
        return
    model.meta.calibration_software_version = jwgpu.__version__
    model.meta.calibration_software_revision = "jwgpu"
    if step.reference_classes or hasattr(step, "step_defs"):
        _stamp_context(model.meta)
    maker = step.parent if step.parent is not None and step.parent.class_alias else step
    if maker.class_alias:
        if not hasattr(model, "cal_logs"):
            model.cal_logs = {}
        setattr(model.cal_logs, maker.class_alias, deepcopy(maker._log_records))


def _stamp_context(meta: Any) -> None:
    """Record the CRDS version and context, asking CRDS only where references came from there."""
    import crds

    names = [node.get("name") for node in meta.ref_file.instance.values() if isinstance(node, dict)]
    context = os.environ.get("CRDS_CONTEXT")
    if any(str(name).startswith("crds://") for name in names):
        from stpipe import crds_client

        context = crds_client.get_context_used("jwst")
    meta.ref_file.crds.sw_version = crds.__version__
    if context:
        meta.ref_file.crds.context_used = context


def _private_words() -> list[str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    return [word for word in (user, socket.gethostname()) if word]
