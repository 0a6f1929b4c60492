"""Where log records go: plain or JSON lines, a stream and a file."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jwgpu.errors import ParameterError

log = logging.getLogger(__name__)

#: Packages whose records are shown. CRDS keeps its logger apart from the root's.
SHOWN = ("jwgpu", "stpipe", "stdatamodels", "CRDS", "py.warnings")


@dataclass(frozen=True)
class LogOptions:
    """What the user asked for.

    Attributes
    ----------
    format
        ``text`` or ``json``.
    level
        Name or number of the least level shown; None for the default.
    file
        File to write to as well.
    stream
        ``stdout``, ``stderr``, ``null`` or None for the default.
    quiet, verbose
        Warnings only; everything.
    logcfg
        A logging configuration file of stpipe (deprecated).
    """

    format: str = "text"
    level: str | None = None
    file: str | None = None
    stream: str | None = None
    quiet: bool = False
    verbose: bool = False
    logcfg: str | None = None

    @property
    def threshold(self) -> int:
        """The least level that is shown."""
        if self.verbose:
            return logging.DEBUG
        if self.level is not None:
            return level_of(self.level)
        return logging.WARNING if self.quiet else logging.INFO

    @property
    def is_default(self) -> bool:
        """Whether the user left level and stream to us, so that a progress display is enough."""
        return not (self.verbose or self.level or self.stream or self.format == "json")


def level_of(name: str) -> int:
    """Turn the name or number of a level into its number.

    Raises
    ------
    ParameterError
        If there is no such level.
    """
    if name.isdigit():
        return int(name)
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        raise ParameterError(
            f"--log-level: there is no level {name!r}: give DEBUG, INFO, WARNING, ERROR or CRITICAL"
        )
    return level


class _Record(logging.Filter):
    """Prepare a record: name the step, keep the bookkeeping of stpipe out of the way."""

    def __init__(self, current_step: Callable[[], str | None]) -> None:
        super().__init__()
        self.current_step = current_step

    def filter(self, record: logging.LogRecord) -> bool:
        record.step = self.current_step()
        if record.name.startswith("stpipe") and record.levelno == logging.INFO:
            # "Step ... instance created", the dump of all parameters: for -v only.
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return True


class _AtLeast(logging.Filter):
    """Drop records below a level; a handler's own level acts before filters can lower one."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self.level


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00 INFO jump: 1234 jumps``, one line a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        time = datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S")
        step, message = getattr(record, "step", None), message_of(record)
        where = f"{step}: " if step and not message.startswith(step) else ""
        text = f"{time} {record.levelname} {where}{message}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, step, message, and traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        step = getattr(record, "step", None)
        if step:
            fields["step"] = step
        fields["message"] = message_of(record)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def message_of(record: logging.LogRecord) -> str:
    """Return the text of a record: of a Python warning without its source line, of crds as one."""
    text = record.getMessage().strip()
    if record.name == "py.warnings":
        return text.partition("\n")[0]
    return " ".join(text.split()) if record.name == "CRDS" else text


def handlers_for(options: LogOptions, console: Any = None) -> list[logging.Handler]:
    """Make the handlers that the options ask for, with their levels but without filters.

    Parameters
    ----------
    options
        What the user asked for.
    console
        The terminal that a progress display is drawn on; log lines go above it.

    Raises
    ------
    ParameterError
        If the log file cannot be written, or a name is unknown.
    """
    made: list[logging.Handler] = []
    if options.logcfg:
        return _from_logcfg(options.logcfg)
    if console is not None:
        handler: logging.Handler = _ConsoleHandler(console)
        # What the display shows needs no log line as well.
        handler.setLevel(max(options.threshold, logging.WARNING))
        made.append(handler)
    elif options.stream != "null":
        stream = sys.stdout if options.stream == "stdout" else sys.stderr
        handler = logging.StreamHandler(stream)
        handler.setLevel(options.threshold)
        made.append(handler)
    if options.file:
        try:
            handler = logging.FileHandler(options.file, "w", "utf-8")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ParameterError(
                f"--log-file {options.file}: cannot write it: {reason}: choose another"
            ) from error
        handler.setLevel(options.threshold)
        made.append(handler)
    formatter = JsonFormatter() if options.format == "json" else TextFormatter()
    for handler in made:
        handler.setFormatter(formatter)
    return made


class _ConsoleHandler(logging.Handler):
    """Print records above a progress display."""

    def __init__(self, console: Any) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)
        except Exception:
            self.handleError(record)


def _from_logcfg(file: str) -> list[logging.Handler]:
    """Read a logging configuration file of stpipe."""
    from stpipe import _log

    try:
        config = _log.load_configuration(config_file=file)
    except Exception as error:
        raise ParameterError(f"--logcfg {file}: cannot read it: {error}") from error
    handlers: list[logging.Handler] = [
        handler for handler in config.handlers if not isinstance(handler, _log.RecordingHandler)
    ]
    for handler in handlers:
        if handler.level == logging.NOTSET:
            handler.setLevel(config.level)
    return handlers


@contextmanager
def logging_to(
    options: LogOptions,
    current_step: Callable[[], str | None] = lambda: None,
    console: Any = None,
) -> Iterator[None]:
    """Send log records where the options say, while the context lasts.

    Parameters
    ----------
    options
        What the user asked for.
    current_step
        Tells the name of the step that runs now.
    console
        The terminal of a progress display, if there is one.
    """
    handlers = handlers_for(options, console)
    lowest = min((handler.level for handler in handlers), default=logging.CRITICAL)
    for handler in handlers:
        handler.addFilter(_Record(current_step))
        handler.addFilter(_AtLeast(handler.level))
    loggers = [logging.getLogger(name) for name in SHOWN]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    _silence_crds_console()
    logging.captureWarnings(True)
    for logger in loggers:
        logger.setLevel(lowest)
        logger.propagate = False
        for handler in handlers:
            logger.addHandler(handler)
    if options.logcfg:
        log.warning("--logcfg is deprecated: use --log-level, --log-file and --log-stream")
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, level, propagate in before:
            logger.setLevel(level)
            logger.propagate = propagate
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()


def _silence_crds_console() -> None:
    """Take away the handler with which crds prints on its own, if crds is imported."""
    crds_log = sys.modules.get("crds.core.log")
    if crds_log is not None and crds_log.THE_LOGGER.console is not None:
        crds_log.remove_console_handler()
