"""Associations from lists of files, and writing them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jwgpu
from jwgpu.errors import ParameterError, ProductError

#: Rules whose associations hold one product a file.
LEVEL2_RULES = (
    "DMSLevel2bBase",
    "Asn_Lv2CoronAsRate",
    "Asn_Lv2FGS",
    "Asn_Lv2Image",
    "Asn_Lv2ImageNonScience",
    "Asn_Lv2ImageSpecial",
    "Asn_Lv2ImageTSO",
    "Asn_Lv2MIRLRSFixedSlitNod",
    "Asn_Lv2NRSFSS",
    "Asn_Lv2NRSIFUNod",
    "Asn_Lv2NRSLAMPImage",
    "Asn_Lv2NRSLAMPSpectral",
    "Asn_Lv2NRSMSA",
    "Asn_Lv2Spec",
    "Asn_Lv2SpecImprint",
    "Asn_Lv2SpecSpecial",
    "Asn_Lv2SpecTSO",
    "Asn_Lv2WFSC",
    "Asn_Lv2WFSSMIR",
    "Asn_Lv2WFSSNIS",
    "Asn_Lv2WFSSNRC",
    "Asn_Lv2WFSSParallel",
    "Asn_MIRLRSTAConfirm",
)

#: Rules whose associations hold one product made of all files.
LEVEL3_RULES = (
    "DMS_Level3_Base",
    "Asn_Lv3ACQ_Reprocess",
    "Asn_Lv3AMI",
    "Asn_Lv3Image",
    "Asn_Lv3ImageBackground",
    "Asn_Lv3ImageMosaic",
    "Asn_Lv3MIRCoron",
    "Asn_Lv3MIRMRS",
    "Asn_Lv3MIRMRSBackground",
    "Asn_Lv3NRCCoron",
    "Asn_Lv3NRCCoronImage",
    "Asn_Lv3NRSFSS",
    "Asn_Lv3NRSIFU",
    "Asn_Lv3NRSIFUBackground",
    "Asn_Lv3SlitlessSpectral",
    "Asn_Lv3SpecAux",
    "Asn_Lv3SpectralSource",
    "Asn_Lv3SpectralTarget",
    "Asn_Lv3TSO",
    "Asn_Lv3WFSCMB",
    "Asn_Lv3WFSSMIR",
    "Asn_Lv3WFSSNIS",
    "Asn_Lv3WFSSNRC",
)

#: Of these, rules that ask for more than science exposures: a list alone makes none of them.
INCOMPLETE_RULES = frozenset(
    {"Asn_Lv3AMI", "Asn_Lv3ImageMosaic", "Asn_Lv3MIRCoron", "Asn_Lv3NRCCoron", "Asn_Lv3TSO"}
)

#: The identifier that the official package writes, whatever candidate is asked for.
_IDENTIFIER = "a3001"


def association_from_list(
    names: Sequence[str],
    rule: str = "DMS_Level3_Base",
    product_name: str | None = None,
    candidate: str = "o999",
    without_suffix: Callable[[str], tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """Make an association of science exposures.

    Parameters
    ----------
    names : sequence of str
        The files, as they shall stand in it.
    rule : str
        One of `LEVEL2_RULES` (a product for each file) or `LEVEL3_RULES` (one product of all).
    product_name : str, optional
        Name of the product of stage 3, which needs one.
    candidate : str
        Association candidate; of stage 2 it must be an observation, ``oNNN``.
    without_suffix : callable, optional
        Gives a name without its product suffix, and the separator, for the products of stage 2.

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        If there is no such rule, a product has no name, or the candidate is not usable.
    """
    if rule in LEVEL2_RULES:
        _check_candidate(candidate)
        products = [_product(_stem(name, without_suffix), [name]) for name in names]
        more = {}
    else:
        products = [_product(_name_of_one(rule, product_name), names)]
        more = {"target": "none"}
    return {
        # As officially: the text None, not null.
        "asn_type": "None",
        "asn_rule": rule,
        "version_id": None,
        "code_version": jwgpu.__version__,
        "degraded_status": "No known degraded exposures in association.",
        "program": "noprogram",
        "constraints": "No constraints",
        "asn_id": _IDENTIFIER,
        **more,
        "asn_pool": "none",
        "products": products,
    }


def write_association(content: dict[str, Any], path: str | Path, form: str = "json") -> None:
    """Write an association, whole or not at all.

    Parameters
    ----------
    content : dict
    path : str or Path
        Replaced if it exists.
    form : str
        ``json``, or ``yaml``, which is deprecated.

    Raises
    ------
    ParameterError
        If there is no such form.
    ProductError
        If the file cannot be written.
    """
    if form == "json":
        text = json.dumps(content, indent=4)
    elif form == "yaml":
        import yaml

        text = yaml.safe_dump(content, default_flow_style=False)
    else:
        raise ParameterError(f"there is no format {form}: associations are json or yaml")
    write_whole(text, path)


def write_whole(text: str, path: str | Path) -> None:
    """Write a text file, whole or not at all.

    Raises
    ------
    ProductError
        If it cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        os.replace(partial, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ProductError(f"{path}: cannot be written ({reason}): choose another place") from error
    finally:
        with contextlib.suppress(OSError):  # it is not there, or its folder is not
            partial.unlink()


def _product(name: str, members: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "members": [{"expname": member, "exptype": "science"} for member in members],
    }


def _name_of_one(rule: str, product_name: str | None) -> str:
    """Return the name of the one product of a rule that makes it of all files."""
    if rule not in LEVEL3_RULES:
        raise ParameterError(
            f"there is no rule {rule}: take DMSLevel2bBase for stage 2, DMS_Level3_Base for stage 3"
        )
    if product_name is None:
        raise ParameterError(f"an association of {rule} needs the name of its product")
    if rule in INCOMPLETE_RULES:
        raise ParameterError(
            f"{rule} needs more than science exposures, such as psf members: make the "
            "association with DMS_Level3_Base, and add the others with asn_edit"
        )
    return product_name


def _stem(name: str, without_suffix: Callable[[str], tuple[str, str]] | None) -> str:
    """Return the name of the product of one exposure, with its folder, as officially."""
    stem = str(Path(name).parent / Path(name).stem)
    return without_suffix(stem)[0] if without_suffix is not None else stem


def _check_candidate(candidate: str) -> None:
    if candidate.startswith("c"):
        raise ParameterError(
            f"the candidate {candidate} is a background, and needs a background member, which a "
            "list of files does not have: take oNNN"
        )
    if not candidate.startswith("o"):
        raise ParameterError(f"the candidate is {candidate}; it must be oNNN, such as o999")
