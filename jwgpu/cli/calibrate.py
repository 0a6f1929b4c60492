"""``jwgpu detector1`` and the commands of the single steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from jwgpu.cli import inputs, logs, messages, options, parameters, progress, startup
from jwgpu.errors import ParameterError, ReferenceFileError
from jwgpu.models import behind
from jwgpu.runner.overlap import Overlap
from jwgpu.runner.session import keeping_references
from jwgpu.steps import registry


@dataclass
class Request:
    """One command line, understood.

    Attributes
    ----------
    entry
        What to run.
    files
        Inputs as given: files, folders, patterns.
    values
        Dotted parameter names and the text given for them.
    config_file
        Parameter file.
    save_parameters
        File to write the parameters to.
    ask_crds_parameters
        Whether CRDS may be asked for a parameter reference.
    log
        Where log records go.
    """

    entry: registry.Entry
    files: Sequence[str]
    values: dict[str, str]
    config_file: str | None = None
    save_parameters: str | None = None
    ask_crds_parameters: bool = True
    log: logs.LogOptions = field(default_factory=logs.LogOptions)


def command_of(entry: registry.Entry) -> click.Command:
    """Make the command of a pipeline or step, with every parameter as an option."""
    startup.reuse_memory()
    with startup.quick_imports():
        step_class = registry.load(entry)
    found = parameters.parameters_of(step_class)

    def callback(files: tuple[str, ...], **given: Any) -> int:
        return calibrate(step_class, understand(entry, files, given))

    return options.StepCommand(entry, found, callback)


def understand(entry: registry.Entry, files: Sequence[str], given: dict[str, Any]) -> Request:
    """Sort the options of a command line.

    Parameters
    ----------
    entry
        What to run.
    files
        Inputs as given.
    given
        Values by the names in `jwgpu.cli.options`; None where an option was not given.
    """
    messages.debugging = bool(given.get("debug"))
    values = {
        options.path_of(name): str(value)
        for name, value in given.items()
        if options.is_parameter(name) and value is not None and value is not False
    }
    # A parameter reference would ask the network for what the user wants without it.
    local = any(values.get(name) for name in ("references", "offline"))
    environment = os.environ.get("STPIPE_DISABLE_CRDS_STEPPARS", "").lower()
    disabled = given.get("disable_crds_steppars") or environment in ("true", "t", "yes", "y")
    return Request(
        entry=entry,
        files=files,
        values=values,
        config_file=given.get("config_file"),
        save_parameters=given.get("save_parameters"),
        ask_crds_parameters=not (disabled or local),
        log=logs.LogOptions(
            format=given.get("log_format") or "text",
            level=given.get("log_level"),
            file=given.get("log_file"),
            stream=given.get("log_stream"),
            quiet=bool(given.get("quiet")),
            verbose=bool(given.get("verbose")),
            logcfg=given.get("logcfg"),
        ),
    )


def calibrate(step_class: Any, request: Request) -> int:
    """Run a pipeline or step on every input.

    Everything that can be checked without an exposure is checked first, so that a wrong option
    ends the command before the first file is opened.

    Returns
    -------
    int
        Exit status: 0 if all went well; 64 if all that failed holds no science data; else 1.

    Raises
    ------
    ParameterError
        If the command line or the parameter file is wrong.
    """
    if request.log.level is not None:
        logs.level_of(request.log.level)
    config = _configuration(step_class, request)
    with logs.logging_to(logs.LogOptions(quiet=True)):
        step = parameters.make_step(step_class, config, request.config_file)
        if request.save_parameters:
            _save_parameters(step, request.save_parameters)
    if not request.files:
        if request.save_parameters:
            return messages.OK
        raise ParameterError(f"no input: jwgpu {request.entry.alias} FILE...")
    files = inputs.expand(request.files, request.entry, step.input_dir or None)
    inputs.check_products_differ(files, step.output_file)
    with progress.shown(request.log, len(files)) as display:
        display_console = getattr(display, "console", None)
        with (
            logs.logging_to(request.log, display.current_step, display_console),
            keeping_references() if len(files) > 1 else contextlib.nullcontext(),
        ):
            return run_all(step, request, files)


def run_all(step: Any, request: Request, files: Sequence[str]) -> int:
    """Run every input, go on past those that fail, and report at the end.

    On a GPU the next exposure is read, and the last one written, while one is calibrated.
    """
    failures = Failures()
    overlap = Overlap(step, files)
    with behind.writing(overlap.writer):
        try:
            for number, file in enumerate(files):
                overlap.begin(number)
                try:
                    run_one(type(step), request, file)
                except ParameterError:
                    raise
                except (Exception, SystemExit) as error:
                    # SystemExit: crds ends the process where it should raise.
                    failures.add(file, error)
                failures.add_all(overlap.failures())
        finally:
            failures.add_all(overlap.finish())
    return failures.report(len(files))


class Failures:
    """The inputs that failed, and why."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}
        self._statuses: set[int] = set()

    def add(self, file: str, error: BaseException) -> None:
        """Tell of an input that failed, and remember it."""
        if messages.debugging:
            import traceback

            traceback.print_exception(error)
        self._messages[file] = messages.about(file, error)
        self._statuses.add(messages.exit_status(error))
        messages.complain(self._messages[file])

    def add_all(self, failed: Iterable[tuple[str, BaseException]]) -> None:
        """Do the same for several."""
        for file, error in failed:
            self.add(file, error)

    def report(self, n_files: int) -> int:
        """Sum up, where there were several inputs; return the exit status."""
        if not self._messages:
            return messages.OK
        if n_files > 1:
            click.echo(messages.summary(list(self._messages.items()), n_files), err=True)
        no_data = self._statuses == {messages.NO_SCIENCE_DATA}
        return messages.NO_SCIENCE_DATA if no_data else messages.FAILED


def run_one(step_class: Any, request: Request, file: str) -> None:
    """Run one input with its own configuration, and save what comes out."""
    inputs.check_exists(file, request.entry)
    config = _configuration(step_class, request)
    if request.ask_crds_parameters:
        config = _over_parameter_reference(step_class, config, file)
    step = parameters.make_step(step_class, config, request.config_file)
    step.set_primary_input(file)
    step.save_results = True
    result = step.run(file)
    for model in result if isinstance(result, (list, tuple)) else [result]:
        if hasattr(model, "close"):
            behind.close(model)


def _configuration(step_class: Any, request: Request) -> Any:
    """Build a fresh configuration: checking one fills it with defaults."""
    return parameters.build(step_class, request.entry, request.config_file, request.values)


def _over_parameter_reference(step_class: Any, config: Any, file: str) -> Any:
    """Put a configuration over the parameter reference that CRDS has for an exposure."""
    from stpipe import config_parser

    from jwgpu.references import crds_source

    without = "use --disable-crds-steppars, --references DIR or --offline"
    if crds_source.context_in_use() is None:
        raise ReferenceFileError(
            f"{file}: CRDS, which is asked for parameters first, does not answer: "
            f"set CRDS_PATH and CRDS_SERVER_URL (see jwgpu doctor), or {without}"
        )
    try:
        reference = step_class.get_config_from_reference(file)
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and os.path.basename(file) in str(error):
            raise
        reason = messages.one_line(str(error)) or type(error).__name__
        raise ReferenceFileError(
            f"{file}: no parameter reference from CRDS ({reason}): try again, or {without}"
        ) from error
    config_parser.merge_config(reference, config)
    return reference


def _save_parameters(step: Any, file: str) -> None:
    """Write the parameters of a step to an ASDF file."""
    folder = os.path.dirname(file)
    if folder:
        with contextlib.suppress(FileExistsError):
            os.makedirs(folder)
    try:
        step.export_config(file, include_metadata=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ParameterError(f"--save-parameters {file}: {reason}: choose another") from error
