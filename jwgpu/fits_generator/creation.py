"""From a proposal and its raw files to level-1b products."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jwgpu.errors import InputError
from jwgpu.fits_generator.generation import generate, read_data_file
from jwgpu.fits_generator.proposal import Exposure, find_proposal, read_proposal
from jwgpu.fits_generator.raw import read_raw
from jwgpu.fits_generator.template import FOLDER, Template, read_template
from jwgpu.models.writing import save_product

log = logging.getLogger(__name__)


class _Product:
    """An HDU list that saves as the official data models do."""

    def __init__(self, hdus: Any) -> None:
        self.hdus = hdus

    def save(self, path: str) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Card is too long, comment will be truncated")
            self.hdus.writeto(path, output_verify="silentfix")


def create_data(
    place: str | Path,
    output_dir: str | Path | None = None,
    template: str | Path | None = None,
    data_files: Sequence[str | Path] = (),
) -> list[Path]:
    """Make the level-1b products of a proposal.

    Parameters
    ----------
    place : str or Path
        The proposal file (``12345.prop``), or the folder that holds it and the raw files.
    output_dir : str or Path, optional
        Where the products go; by default beside the proposal file.
    template : str or Path, optional
        Instead of the one for the instrument.
    data_files : sequence of str or Path
        Further sources of keywords; the name in their ``<<file …>>`` is the function that templates
        ask them with.

    Returns
    -------
    list of Path
        The products, ``jw…_uncal.fits``, in the order of the proposal.

    Raises
    ------
    InputError
        If something cannot be read or understood.
    ProductError
        If a product cannot be written.
    """
    proposal = find_proposal(place)
    exposures = read_proposal(proposal)
    chosen = None if template is None else read_template(template)
    sources = read_data_files(data_files)
    missing = [exposure.path.name for exposure in exposures if not exposure.path.is_file()]
    if missing:
        raise InputError(f"{proposal}: these files are not beside it: {', '.join(missing)}")
    folder = proposal.parent if output_dir is None else Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for exposure in exposures:
        hdus = create_level1b(exposure, chosen, sources)
        path = folder / hdus[0].header["FILENAME"]
        if path in made:
            raise InputError(f"{proposal}: two files in it would make {path.name}")
        save_product(_Product(hdus), path)
        log.info("%s: made from %s", path, exposure.path.name)
        made.append(path)
    return made


def create_level1b(
    exposure: Exposure,
    template: Template | None = None,
    sources: dict[str, dict[str, Any]] | None = None,
) -> Any:
    """Make one product.

    Parameters
    ----------
    exposure : Exposure
    template : Template, optional
        Instead of the one for the instrument.
    sources : dict, optional
        Further sources of keywords, by the name of their function.

    Returns
    -------
    HDUList
        Its FILENAME says what it is to be called.

    Raises
    ------
    InputError
        If the raw file or the template cannot be understood.
    """
    raw = read_raw(exposure.path, exposure.subarray, exposure.exposure_type)
    header = raw[0].header
    name = f"{exposure.root}_{header['DETECTOR'].lower()}_uncal.fits"
    if template is None:
        template = read_template(FOLDER / f"level1b_{header['INSTRUME'].lower()}.gen.txt")
    known = {**(sources or {}), "obsid": exposure.keywords, "product": {"FILENAME": name}}
    hdus = generate(template, raw, known)
    if not hdus or len(hdus) < 2:
        raise InputError(f"{exposure.path}: template {template.name} makes no SCI extension")
    hdus[0].header["FILENAME"] = (name, "Name of the file")
    return hdus


def read_data_files(paths: Sequence[str | Path]) -> dict[str, dict[str, Any]]:
    """Read data files: templates without sources, each a function of its own name.

    Raises
    ------
    InputError
        If one cannot be understood, or two have the same name.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        template = read_template(path)
        if template.name in (*found, "input", "obsid", "product"):
            raise InputError(f"{path}: there is another source called {template.name}")
        found[template.name] = read_data_file(template)
    return found
