"""The command ``jwgpu``: its subcommands, and what an error becomes on the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import click

import jwgpu
from jwgpu.cli import messages, startup
from jwgpu.steps import registry

#: Commands that are not calibration: where they are, and their line in ``--help``.
TOOLS: dict[str, tuple[str, str]] = {
    "simulate": ("jwgpu.cli.simulate:simulate", "make an exposure and its reference files"),
    "create_data": ("jwgpu.cli.create_data:create_data", "raw files of the laboratory -> _uncal"),
    "asn_from_list": ("jwgpu.cli.associations:asn_from_list", "an association of some exposures"),
    "asn_edit": (
        "jwgpu.cli.associations:asn_edit",
        "add members to an association, or remove some",
    ),
    "asn_gather": ("jwgpu.cli.associations:asn_gather", "copy an association and its members"),
    "asn_make_pool": ("jwgpu.cli.associations:asn_make_pool", "table of exposures and keywords"),
    "demo": ("jwgpu.cli.demo:demo", "simulate, calibrate and draw a picture; needs no network"),
    "doctor": ("jwgpu.cli.doctor:doctor", "what works on this machine, and what to do if not"),
}

#: File names that may stand where a command is expected, as with strun.
PARAMETER_FILES = (".asdf", ".cfg")

EPILOG = """\
Examples:

\b
  jwgpu detector1 jw*_uncal.fits --output-dir products
  jwgpu detector1 jw01_uncal.fits --steps.jump.rejection_threshold=5 --references ./refs
  jwgpu jump jw01_ramp.fits
  jwgpu pars-detector1pipeline.asdf jw01_uncal.fits
  jwgpu detector1 --help        every parameter of every step
"""


def spell(name: str) -> str:
    """Make ``-`` and ``_`` alike in the names of options and commands."""
    return name.replace("-", "_")


class Commands(click.Group):
    """Subcommands that are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List every name, without importing anything."""
        return [entry.alias for entry in registry.ENTRIES] + list(TOOLS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is no such name."""
        if spell(cmd_name) in TOOLS:
            module, _, function = TOOLS[spell(cmd_name)][0].partition(":")
            command: click.Command = getattr(import_module(module), function)
            return command
        entry = registry.find(cmd_name)
        if entry is None:
            return None
        from jwgpu.cli.calibrate import command_of

        return command_of(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a parameter file stands for the class that it names."""
        name = args[0]
        if name.lower().endswith(PARAMETER_FILES) and os.path.exists(name):
            from jwgpu.cli.parameters import entry_of_file

            return self.resolve_command(ctx, [entry_of_file(name).alias, "-c", *args])
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        if registry.find(name) is not None:
            startup.read_first_exposure(args)
        command = self.get_command(ctx, name)
        if command is not None:
            return command.name, command, args[1:]
        if name.lower().endswith(PARAMETER_FILES):
            raise click.UsageError(f"{name}: there is no such parameter file")
        hint = messages.closest(spell(name), self.list_commands(ctx)) or "see jwgpu --help"
        raise click.UsageError(f"there is no command or step {name!r}: {hint}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names in three groups."""
        groups = {
            "Pipelines": [(entry.alias, entry.summary) for entry in registry.PIPELINES],
            "Steps": [(entry.alias, entry.summary) for entry in registry.STEPS],
            "Tools": [(name, summary) for name, (_, summary) in TOOLS.items()],
        }
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


@click.command(
    cls=Commands,
    epilog=EPILOG,
    options_metavar="",
    subcommand_metavar="COMMAND [OPTIONS] FILE...",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": spell,
        "max_content_width": 100,
    },
)
@click.version_option(jwgpu.__version__, prog_name="jwgpu", message="%(prog)s %(version)s")
def jwgpu_command() -> None:
    """Calibrate exposures of the James Webb Space Telescope."""


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status; print errors as one line."""
    try:
        return guarded(lambda: jwgpu_command.main(arguments, "jwgpu", standalone_mode=False))
    finally:
        startup.forget_first_exposure()


def guarded(command: Callable[[], Any]) -> int:
    """Call `command`; turn what it raises into a line on stderr and an exit status."""
    try:
        result = command()
    except click.exceptions.NoArgsIsHelpError as request:
        click.echo(request.format_message())
        return messages.USAGE
    except click.exceptions.Exit as request:
        return request.exit_code
    except click.NoSuchOption as error:
        messages.complain(messages.unknown_option(error))
        return messages.USAGE
    except click.ClickException as error:
        messages.complain(messages.usage(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        messages.complain("interrupted: nothing half-written was left")
        return messages.INTERRUPTED
    except Exception as error:
        if messages.is_unexpected(error):
            if messages.debugging:
                raise
            messages.complain(messages.unexpected(error))
            return messages.FAILED
        messages.complain(messages.of_command(error))
        return messages.exit_status(error)
    return result if isinstance(result, int) else 0
