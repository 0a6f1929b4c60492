"""The options of the calibration commands: ours, and one for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from jwgpu.cli.parameters import SpecParameter, shared_names
from jwgpu.steps.registry import Entry

#: Prefix of the names under which click hands over the values of parameters.
_PARAMETER = "parameter__"

#: Parameters of the outermost step that have an option with a fuller description, in this order.
_PROMINENT: dict[str, dict[str, Any]] = {
    "device": {"metavar": "auto|cpu|cuda|cuda:N", "help": "where to compute [auto]"},
    "references": {
        "metavar": "DIR",
        "help": "take reference files from this folder, matched by their headers, not from CRDS",
    },
    "offline": {
        "is_flag": True,
        "help": "never ask the network: references from --references, overrides or the CRDS cache",
    },
    "threads": {"metavar": "N", "help": "threads to compute with [0: all of this process]"},
    "max_memory": {
        "metavar": "SIZE",
        "help": "work in blocks to stay below, such as 4GB; the results are the same [no limit]",
    },
    "output_dir": {"metavar": "DIR", "help": "where products go [the current folder]"},
    "output_file": {"metavar": "FILE", "help": "name of the product [from the input's]"},
}


def path_of(name: str) -> str:
    """Return the dotted parameter name behind the name of a click option."""
    return name.removeprefix(_PARAMETER).replace("__", ".")


def is_parameter(name: str) -> bool:
    """Whether a click option stands for a parameter."""
    return name.startswith(_PARAMETER)


def _identifier(path: str) -> str:
    """Return the name of a click option for a dotted parameter name."""
    return _PARAMETER + path.replace(".", "__")


def own_options() -> list[click.Option]:
    """List the options that are about the run and not parameters."""
    return [
        click.Option(
            ["config_file", "-c", "--config-file"],
            metavar="FILE",
            help="parameter file, ASDF or .cfg; options on the command line override it",
        ),
        click.Option(
            ["--save-parameters"], metavar="FILE", help="write all parameters to this ASDF file"
        ),
        click.Option(
            ["--disable-crds-steppars"],
            is_flag=True,
            help="take no parameters from CRDS; also with --references and --offline",
        ),
        click.Option(
            ["--log-format"],
            type=click.Choice(["text", "json"]),
            help="log lines as text, or as one JSON object each [text]",
        ),
        click.Option(["--log-level"], metavar="LEVEL", help="DEBUG, INFO, WARNING, ERROR [INFO]"),
        click.Option(["--log-file"], metavar="FILE", help="write log lines to this file as well"),
        click.Option(
            ["--log-stream"],
            type=click.Choice(["stdout", "stderr", "null"]),
            help="where log lines go [stderr]",
        ),
        click.Option(["--logcfg"], metavar="FILE", help="logging configuration file (deprecated)"),
        click.Option(["-q", "--quiet"], is_flag=True, help="show warnings and errors only"),
        click.Option(["-v", "--verbose"], is_flag=True, help="show every log line"),
        click.Option(["--debug"], is_flag=True, help="show the traceback of an error"),
    ]


def parameter_option(parameter: SpecParameter) -> click.Option:
    """Make the option of one parameter; its value is checked later, by stpipe."""
    prominent = _PROMINENT.get(parameter.path)
    if prominent is not None:
        spelled = parameter.path.replace("_", "-")
        return click.Option([_identifier(parameter.path), f"--{spelled}"], **prominent)
    declaration = [_identifier(parameter.path), f"--{parameter.path}"]
    if parameter.kind == "boolean":
        # --skip=true as with strun; a lone --skip means true.
        return click.Option(declaration, is_flag=False, flag_value="true", help=parameter.help)
    return click.Option(declaration, help=parameter.help)


class StepCommand(click.Command):
    """The command of a pipeline or step, whose help groups the parameters by step."""

    def __init__(
        self, entry: Entry, found: Iterable[SpecParameter], callback: Callable[..., int]
    ) -> None:
        self.entry = entry
        self.parameters = list(found)
        own = own_options()
        arguments = click.Argument(["files"], nargs=-1, metavar="FILE...")
        super().__init__(
            entry.alias.replace("_", "-") if entry.is_pipeline else entry.alias,
            callback=callback,
            params=[arguments, *own, *(parameter_option(item) for item in self.parameters)],
            help=f"{entry.summary[0].upper()}{entry.summary[1:]}.",
            options_metavar="[OPTIONS]",
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups: the run, then the parameters by step."""
        plain = {option.name: option for option in self.params if isinstance(option, click.Option)}
        prominent = [name for name in _PROMINENT if _identifier(name) in plain]
        rows = [_row(plain[_identifier(name)], ctx) for name in prominent]
        rows += [
            _row(option, ctx) for name, option in plain.items() if not is_parameter(name or "")
        ]
        help_option = self.get_help_option(ctx)
        if help_option is not None:
            rows.append(_row(help_option, ctx))
        with formatter.section("Options (- and _ are alike)"):
            formatter.write_dl(rows)
        shared = shared_names()
        steps = list(dict.fromkeys(item.step for item in self.parameters))
        for step in ["", *(name for name in steps if name)]:
            own = [
                item
                for item in self.parameters
                if item.step == step and item.path not in prominent and item.name not in shared
            ]
            title = f"Parameters of {step or ctx.info_name}"
            self._write(formatter, title, [(item.path, item) for item in own])
        self._format_shared(formatter, shared, prominent)

    def _format_shared(
        self, formatter: click.HelpFormatter, shared: frozenset[str], prominent: list[str]
    ) -> None:
        """Write what stpipe gives to every step, once."""
        outer = [
            item
            for item in self.parameters
            if not item.step and item.name in shared and item.path not in prominent
        ]
        title = "Parameters that every step has"
        if self.entry.is_pipeline:
            title += " (for one step: --steps.STEP.NAME, such as --steps.jump.skip=true)"
        self._write(formatter, title, [(item.path, item) for item in outer])

    @staticmethod
    def _write(
        formatter: click.HelpFormatter, title: str, rows: list[tuple[str, SpecParameter]]
    ) -> None:
        """Write one group of parameters."""
        if rows:
            with formatter.section(title):
                formatter.write_dl([(f"--{name}", _describe(item)) for name, item in rows])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples."""
        name = ctx.info_name
        lines = [f"jwgpu {name} jw01_uncal.fits --references ./refs --output-dir products"]
        if self.entry.is_pipeline:
            lines += [
                f"jwgpu {name} folder --offline --threads 4 --steps.jump.rejection_threshold=5",
                f"jwgpu {name} -c pars.asdf jw*_uncal.fits --steps.ramp_fit.save_results",
                f"jwgpu {name} --save-parameters pars.asdf",
            ]
        else:
            lines += [f"jwgpu {name} --skip=false --save-parameters pars.asdf"]
        with formatter.section("Examples"):
            formatter.write("".join(f"{' ' * formatter.current_indent}{line}\n" for line in lines))


def _row(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    """Return an option's row in the help."""
    return option.get_help_record(ctx) or ("", "")


def _describe(parameter: SpecParameter) -> str:
    """Return help, what is allowed and the default of a parameter."""
    extra = [text for text in (parameter.allowed, parameter.default) if text]
    if parameter.kind in ("string", "list", "is_string_or_datamodel") or not extra:
        return parameter.help + (f" [{parameter.default}]" if parameter.default else "")
    if parameter.default:
        return f"{parameter.help} ({', '.join(extra[:-1])}) [{parameter.default}]"
    return f"{parameter.help} ({extra[0]})"
