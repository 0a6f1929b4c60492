"""The parameters of a pipeline or step: as options, from parameter files, checked by stpipe."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jwgpu.cli import messages
from jwgpu.errors import ParameterError
from jwgpu.steps import registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpecParameter:
    """One parameter, as the configuration spec declares it.

    Attributes
    ----------
    path
        Dotted name: ``steps.jump.rejection_threshold``, ``output_dir``.
    check
        What stpipe checks the value with: ``float(default=4.0, min=0)``.
    help
        One line.
    """

    path: str
    check: str
    help: str

    @property
    def name(self) -> str:
        """The name without its steps."""
        return self.path.rpartition(".")[2]

    @property
    def step(self) -> str:
        """The step whose parameter this is; empty for the outermost."""
        parts = self.path.split(".")
        return parts[1] if len(parts) == 3 and parts[0] == "steps" else ""

    @property
    def kind(self) -> str:
        """The type of the value: ``float``, ``boolean``, ``option`` ..."""
        return self.check.partition("(")[0].strip()

    @property
    def default(self) -> str:
        """The default value as text; empty for None, an empty text and an empty list."""
        found = re.search(r"default\s*=\s*('[^']*'|\"[^\"]*\"|list\([^)]*\)|[^,)]*)", self.check)
        value = found.group(1).strip().strip("'\"") if found else ""
        return "" if value in ("None", "list()") else value

    @property
    def allowed(self) -> str:
        """What values are allowed, in words."""
        limits = dict(re.findall(r"\b(min|max)\s*=\s*([^,)\s]+)", self.check))
        if self.kind == "option":
            arguments = self.check.partition("(")[2].rpartition(")")[0]
            return "one of " + ", ".join(re.findall(r"'([^']*)'", arguments.split("default")[0]))
        words = {"boolean": "true or false", "integer": "a whole number", "float": "a number"}
        words["float_list"] = "numbers, each followed by a comma"
        text = words.get(self.kind, "")
        if "min" in limits and "max" in limits:
            text += f" from {limits['min']} to {limits['max']}"
        elif "min" in limits:
            text += f", at least {limits['min']}"
        elif "max" in limits:
            text += f", at most {limits['max']}"
        return text.lstrip(", ")


def parameters_of(step_class: Any) -> list[SpecParameter]:
    """List every parameter of a class and of its steps, in the order of the spec."""
    return list(_walk(step_class.load_spec_file(), ()))


def _walk(section: Any, above: tuple[str, ...]) -> Iterator[SpecParameter]:
    """Go through a section of a configuration spec and the sections in it."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _walk(value, (*above, key))
        else:
            comment = (section.inline_comments.get(key) or "").lstrip("#").strip()
            yield SpecParameter(".".join((*above, key)), value, comment)


def shared_names() -> frozenset[str]:
    """Name the parameters that stpipe gives to every step."""
    from stpipe import Step, config_parser

    return frozenset(config_parser.load_spec_file(Step)) | {"name", "class", "config_file"}


def entry_of_file(file: str) -> registry.Entry:
    """Tell which pipeline or step a parameter file is for.

    Raises
    ------
    ParameterError
        If the file cannot be read or names no class that is here.
    """
    name = str(load_file(file).get("class") or "")
    entry = registry.find(name) if name else None
    if entry is None:
        what = f"is for {name}, which is not here" if name else "does not say what it is for"
        raise ParameterError(f"{file}: {what}: see jwgpu --help, or jwgpu COMMAND -c {file}")
    return entry


def load_file(file: str) -> Any:
    """Read a parameter file, ASDF or ConfigObj.

    Raises
    ------
    ParameterError
        If it cannot be read.
    """
    from stpipe import config_parser

    if not os.path.isfile(file):
        raise ParameterError(f"{file}: there is no such parameter file: check the name")
    try:
        return config_parser.load_config_file(file)
    except Exception as error:
        reason = messages.one_line(str(error))
        raise ParameterError(
            f"{file}: not a parameter file (ASDF or ConfigObj): {reason}"
        ) from error


def build(
    step_class: Any, entry: registry.Entry, file: str | None, values: Mapping[str, str]
) -> Any:
    """Put a parameter file and the values of the command line together, unchecked.

    Parameters
    ----------
    step_class
        The pipeline or step.
    entry
        Its entry in the registry.
    file
        Parameter file, or None. One that the official package wrote is taken as well: the class
        in it counts by its name alone.
    values
        Dotted names and the text given for them; these override the file.

    Returns
    -------
    configobj.ConfigObj

    Raises
    ------
    ParameterError
        If the file cannot be read or is for another pipeline or step.
    """
    from stpipe import config_parser

    if file is None:
        config = config_parser.config_from_dict({})
    else:
        config = load_file(file)
        written_for = config.get("class")
        if written_for and registry.find(str(written_for)) not in (entry, None):
            raise ParameterError(
                f"{file}: these are parameters for {written_for}, not for {entry.alias}: "
                "give the file of the right pipeline"
            )
        for key in ("class", "name"):
            if key in config:
                del config[key]
    for path, text in values.items():
        _set(config, path, text)
    return step_class.merge_config(config, file)


def _set(config: Any, path: str, text: str) -> None:
    """Set one dotted name to the text of an option, read as in a configuration file."""
    # stpipe resolves files named on the command line against the working folder, those in a
    # parameter file against that file's folder; it tells them apart by this class.
    from stpipe._cmdline import FromCommandLine

    try:
        value = config._handle_value(text)[0]
    except Exception as error:
        raise ParameterError(f"--{path}: cannot read {text!r}: check the quotes") from error
    *above, name = path.split(".")
    section = config
    for key in above:
        section = section.setdefault(key, {})
    section[name] = FromCommandLine(value) if isinstance(value, str) else value


def make_step(step_class: Any, config: Any, file: str | None) -> Any:
    """Check a configuration and make the pipeline or step of it.

    Raises
    ------
    ParameterError
        If a value is of the wrong type or out of range, or a name is unknown.
    """
    from stpipe.exceptions import ValidationError

    try:
        return step_class.from_config_section(config, name=step_class.__name__, config_file=file)
    except ValidationError as error:
        raise ParameterError(explain(str(error), parameters_of(step_class), file)) from error


def explain(text: str, parameters: list[SpecParameter], file: str | None = None) -> str:
    """Write what stpipe's validation says in terms of options."""
    known = {parameter.path: parameter for parameter in parameters}
    explained = []
    for line in text.splitlines():
        bad_value = re.match(r"Config parameter '(.+?)': (.*)", line)
        unknown = re.match(r"Extra value '(.+?)' in (.*)", line)
        if bad_value:
            path = bad_value.group(1).replace("/", ".")
            allowed = known[path].allowed if path in known else ""
            reason = bad_value.group(2).rstrip(".")
            explained.append(f"--{path}: {reason}{f': give {allowed}' if allowed else ''}")
        elif unknown:
            name, section = unknown.groups()
            path = name if section == "root" else f"{section.replace('/', '.')}.{name}"
            hint = messages.closest(path, known) or "see --help"
            explained.append(f"{f'{file}: ' if file else ''}unknown parameter {path}: {hint}")
        else:
            explained.append(line)
    return "; ".join(explained)
