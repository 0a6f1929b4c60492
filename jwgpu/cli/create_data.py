"""``jwgpu create_data``: level-1b files from raw files of the laboratory."""

from __future__ import annotations

import click

from jwgpu.cli import messages


@click.command("create_data")
@click.argument("places", nargs=-1, required=True, metavar="DIR...")
@click.option("--output-dir", metavar="DIR", help="the products go here [beside the proposal]")
@click.option("--template", metavar="FILE", help="template to use [the instrument's]")
@click.option(
    "--data",
    "data_files",
    metavar="FILE",
    multiple=True,
    help="further source of keywords for the template; repeatable",
)
@click.option("--debug", is_flag=True, help="show the traceback of an error")
def create_data(
    places: tuple[str, ...],
    output_dir: str | None,
    template: str | None,
    data_files: tuple[str, ...],
    debug: bool,
) -> int:
    """Make level-1b files (_uncal.fits) from the raw files that a proposal file names.

    DIR is a folder with one proposal file, such as 12345.prop, and the raw FITS files beside it; or
    the proposal file itself. Templates hold Python expressions: use those that you trust.
    """
    from jwgpu.fits_generator import create_data as create

    messages.debugging = debug
    for place in places:
        for path in create(place, output_dir, template, data_files):
            click.echo(path)
    return messages.OK
