"""``jwgpu simulate``: an exposure and the reference files that calibrate it."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from jwgpu.cli import messages
from jwgpu.simulate.settings import Settings

#: Every setting, with its help; the first group is what most people change.
HELP: dict[str, str] = {
    "instrument": "NIRCAM, NIRISS, NIRSPEC, FGS or MIRI",
    "detector": "detector [the instrument's first]",
    "subarray": "name of a subarray, or FULL",
    "window": "first column and row (from 1), columns and rows of a free-form window",
    "stripes": "MSTR_RD1, SK1, RD2, SK2, RPT, ILV, SSTR_STP, NST of a readout in stripes",
    "readpatt": "read pattern [the instrument's fast one]",
    "ngroups": "groups in an integration",
    "nints": "integrations",
    "seed": "of scene, noise and cosmic rays",
    "detector_seed": "of what the reference files describe",
    "nframes": "frames averaged into a group [the pattern's]",
    "groupgap": "frames dropped between groups [the pattern's]",
    "frame_divisor": "what the sum of a group's frames is divided by on board [nframes]",
    "filter": "FILTER keyword",
    "pupil": "PUPIL keyword",
    "grating": "GRATING keyword",
    "exp_type": "EXP_TYPE keyword",
    "time_series": "a time series (TSOVISIT)",
    "zero_frame": "keep the first frame [where NIRCam averages frames]",
    "sky": "sky, in full wells an integration",
    "n_stars": "number of stars [one for 2000 pixels]",
    "star_peaks": "faintest and brightest peak pixel of a star, in full wells an integration",
    "psf_sigma": "width of a star, in pixels",
    "dark": "dark current, in full wells an integration",
    "shot_noise": "whether arriving charge is noisy",
    "read_noise": "read noise, relative to the detector's",
    "ktc_noise": "noise of the reset level, in DN",
    "flicker_noise": "1/f noise, in DN",
    "drift": "step of an amplifier's level from frame to frame, in DN",
    "odd_even": "difference between odd and even columns, in DN",
    "cosmic_rays": "hits an integration, as a fraction of the pixels",
    "interference": "amplitude of MIRI's electromagnetic interference, in DN",
    "picture_frame": "glow at the edges of NIRSpec's detectors, in full wells an integration",
    "snowballs": "mean number of snowballs an integration",
    "showers": "mean number of showers (MIRI) an integration",
    "nonlinearity": "strength of the non-linear response; 0 for none",
    "ipc": "share of a charge that shows in each neighbour pixel",
    "bad_pixels": "whether there are flawed pixels",
    "gain_factor": "gain of the exposure relative to the one the references are for",
}


def setting_option(name: str, annotation: Any, default: Any) -> click.Option:
    """Make the option of one setting from its type."""
    kinds = [kind for kind in _members(annotation) if kind is not type(None)]
    kind = kinds[0]
    text = HELP[name]
    if not isinstance(default, bool) and default is not None and "[" not in text:
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        text += f" [{shown}]"
    spelled = f"--{name.replace('_', '-')}"
    if kind is bool:
        return click.Option([name, f"{spelled}/--no-{spelled[2:]}"], default=None, help=text)
    if typing.get_origin(kind) is tuple:
        members = typing.get_args(kind)
        metavar = "N " * len(members)
        return click.Option(
            [name, spelled], type=members[0], nargs=len(members), help=text, metavar=metavar.strip()
        )
    return click.Option([name, spelled], type=kind, help=text)


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the types that a union allows, or the one type."""
    if isinstance(annotation, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def setting_options(names: typing.Iterable[str] | None = None) -> list[click.Option]:
    """Make the options of some settings, or of all."""
    annotations = typing.get_type_hints(Settings)
    defaults = {field.name: field.default for field in fields(Settings)}
    chosen = HELP if names is None else names
    return [setting_option(name, annotations[name], defaults[name]) for name in chosen]


def with_settings(*names: str) -> Callable[[click.Command], click.Command]:
    """Add the options of settings to a command."""

    def add(command: click.Command) -> click.Command:
        command.params += setting_options(names or None)
        return command

    return add


@with_settings()
@click.command("simulate")
@click.option(
    "--output-dir",
    metavar="DIR",
    default=".",
    help="the exposure goes here, its reference files into references/ below [.]",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, help="threads; same result [1]")
@click.option("--debug", is_flag=True, help="show the traceback of an error")
def simulate(output_dir: str, threads: int, debug: bool, **given: Any) -> int:
    """Make a raw exposure, and reference files that calibrate it, from a seed.

    The same settings give the same bytes. Calibrate what comes out with
    jwgpu detector1 DIR --references DIR/references.
    """
    from jwgpu.simulate import make_dataset

    messages.debugging = debug
    settings = {name: value for name, value in given.items() if value is not None}
    dataset = make_dataset(output_dir, threads=threads, **settings)
    click.echo(dataset.exposure)
    folder = Path(output_dir) / "references"
    click.echo(f"{folder}: {len(dataset.references)} references: {', '.join(dataset.references)}")
    return messages.OK
