"""``jwgpu asn_from_list`` and its like: associations made, edited and gathered."""

from __future__ import annotations

import click

from jwgpu.cli import messages

_VERBOSE = click.option("-v", "--verbose", count=True, help="name each file as it is done")
_DEBUG = click.option("--debug", is_flag=True, help="show the traceback of an error")


@click.command(
    "asn_from_list",
    epilog="""\
Examples:

\b
  jwgpu asn_from_list -o l3_asn.json --product-name mosaic *_cal.fits
  jwgpu asn_from_list -o l2_asn.json -r DMSLevel2bBase *_rate.fits
""",
)
@click.argument("filelist", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output-file", required=True, metavar="FILE", help="association to write")
@click.option("-f", "--format", "form", default="json", show_default=True, help="json or yaml")
@click.option("--product-name", metavar="NAME", help="name of the product of stage 3")
@click.option(
    "-r",
    "--rule",
    default="DMS_Level3_Base",
    show_default=True,
    help="one product of all files; DMSLevel2bBase: one a file, for stage 2",
)
@click.option("--ruledefs", multiple=True, metavar="FILE", help="files with rules (not yet)")
@click.option("-i", "--id", "acid", default="o999", show_default=True, help="candidate")
@_DEBUG
def asn_from_list(
    filelist: tuple[str, ...],
    output_file: str,
    form: str,
    product_name: str | None,
    rule: str,
    ruledefs: tuple[str, ...],
    acid: str,
    debug: bool,
) -> int:
    """Make an association of exposures; all become science members."""
    from jwgpu.associations.creation import association_from_list, write_association
    from jwgpu.errors import NotYetError
    from jwgpu.steps.suffixes import remove_suffix

    messages.debugging = debug
    if ruledefs:
        raise NotYetError("--ruledefs: rules of one's own need the official package")
    content = association_from_list(filelist, rule, product_name, acid, remove_suffix)
    write_association(content, output_file, form)
    return messages.OK


@click.command(
    "asn_edit",
    epilog="""\
Examples:

\b
  jwgpu asn_edit --add --type background l2_asn.json jw01_bg_rate.fits
  jwgpu asn_edit --remove l3_asn.json jw01_cal.fits --output smaller_asn.json
  jwgpu asn_edit --remove --ignore l3_asn.json jw01_rate.fits    takes jw01_cal.fits out as well
""",
)
@click.argument("association", metavar="ASSOCIATION")
@click.argument("filenames", nargs=-1, required=True, metavar="FILE...")
@click.option("-a", "--add", is_flag=True, help="add the files to every product")
@click.option("-r", "--remove", is_flag=True, help="take the files out of every product")
@click.option(
    "-t", "--type", "kind", default="science", show_default=True, help="exptype of added files"
)
@click.option("-i", "--ignore", is_flag=True, help="compare names without suffix and extension")
@click.option("-o", "--output", metavar="FILE", help="write this instead of replacing the input")
@_DEBUG
def asn_edit(
    association: str,
    filenames: tuple[str, ...],
    add: bool,
    remove: bool,
    kind: str,
    ignore: bool,
    output: str | None,
    debug: bool,
) -> int:
    """Add files to an association (JSON), or take files out of it."""
    from jwgpu.associations.creation import write_association
    from jwgpu.associations.editing import add_members, remove_members
    from jwgpu.associations.reading import read_content
    from jwgpu.steps.suffixes import remove_suffix

    messages.debugging = debug
    if add == remove:
        raise click.UsageError("asn_edit needs --add or --remove: see jwgpu asn_edit --help")
    target = output or association
    for name in (association, target):
        if not name.endswith(".json"):
            raise click.UsageError(f"{name}: asn_edit takes and writes JSON only, named .json")
    content = read_content(association)
    if add:
        add_members(content, filenames, kind)
    else:
        for name in remove_members(content, filenames, remove_suffix if ignore else None):
            click.echo(f"jwgpu: warning: {association}: {name} is not in it", err=True)
    write_association(content, target)
    return messages.OK


@click.command(
    "asn_gather",
    epilog="""\
Examples:

\b
  jwgpu asn_gather /archive/jw01_asn.json here
  jwgpu asn_gather jw01_asn.json there --source /archive -t science -t background
  jwgpu asn_gather jw01_asn.json there --cmd 'ln -s'
""",
)
@click.argument("association", metavar="ASSOCIATION")
@click.argument("destination", metavar="DIR")
@click.option(
    "-s", "--source", metavar="DIR", help="where the members are [beside the association]"
)
@click.option("-t", "--exp-types", multiple=True, help="exptype to copy; repeatable [all]")
@click.option("-x", "--exclude-types", multiple=True, help="exptype to leave out; repeatable")
@click.option("-c", "--cmd", "command", help="command that copies [files that are newer]")
@_VERBOSE
@_DEBUG
def asn_gather(
    association: str,
    destination: str,
    source: str | None,
    exp_types: tuple[str, ...],
    exclude_types: tuple[str, ...],
    command: str | None,
    verbose: int,
    debug: bool,
) -> int:
    """Copy an association and its members into one folder."""
    from jwgpu.associations.gathering import gather

    messages.debugging = debug
    for copy in gather(association, destination, exp_types or None, exclude_types, source, command):
        if verbose:
            click.echo(copy)
    return messages.OK


@click.command(
    "asn_make_pool",
    epilog="""\
Examples:

\b
  jwgpu asn_make_pool pool.csv *_rate.fits
  jwgpu asn_make_pool pool.csv *_rate.fits --asn-candidate "[('c1000', 'background')]"
""",
)
@click.argument("pool", metavar="POOL")
@click.argument("data", nargs=-1, required=True, metavar="FILE...")
@click.option("--asn-candidate", metavar="LIST", help="more candidates, as a list of pairs")
@click.option("--dms-note", default="", help="notes for the rules")
@click.option("--is-imprt", default="f", show_default=True, help="t for NIRSpec's imprints")
@click.option("--pntgtype", default="science", show_default=True, help="kind of pointing")
@_VERBOSE
@_DEBUG
def asn_make_pool(
    pool: str,
    data: tuple[str, ...],
    asn_candidate: str | None,
    dms_note: str,
    is_imprt: str,
    pntgtype: str,
    verbose: int,
    debug: bool,
) -> int:
    """Make a pool: a table of the keywords of exposures."""
    from jwgpu.associations.pool import rows_of_pool, write_pool

    messages.debugging = debug
    rows = rows_of_pool(data, asn_candidate, dms_note, is_imprt, pntgtype)
    write_pool(rows, pool)
    if verbose:
        click.echo(f"{pool}: {len(rows)} exposures")
    return messages.OK
