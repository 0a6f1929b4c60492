"""The suffixes of product names: ``jw…_uncal.fits`` becomes ``jw…_rate.fits``."""

from __future__ import annotations

import re
from functools import lru_cache

#: Suffixes of the products of all stages, as the data products document lists them.
PRODUCT_SUFFIXES = [
    "ami",
    "aminorm",
    "ami-oi",
    "aminorm-oi",
    "ami_analyze",
    "ami_normalize",
    "amianalyze",
    "aminormalize",
    "blot",
    "bsub",
    "bsubints",
    "c1d",
    "cal",
    "calints",
    "cat",
    "crf",
    "crfints",
    "dark",
    "dark_current",
    "fitopt",
    "guidecds",
    "guider_cds",
    "i2d",
    "likely_chisq",
    "mbsub",
    "median",
    "msa_flagging",
    "nsclean",
    "outlier",
    "outlier_i2d",
    "phot",
    "psfalign",
    "psfstack",
    "psfsub",
    "psf-amioi",
    "ramp",
    "ramp_fit",
    "rate",
    "rateints",
    "rscd",
    "s2d",
    "s3d",
    "segm",
    "snr",
    "spectral_leak",
    "stack_refs",
    "trapsfilled",
    "uncal",
    "wfscmb",
    "whtlt",
    "x1d",
    "x1dints",
    "x1d_combined",
]


def remove_suffix(name: str) -> tuple[str, str]:
    """Return `name` without its product suffix, and the separator that stood before it.

    Parameters
    ----------
    name : str
        File name without its extension.

    Returns
    -------
    name : str
        The name without suffix; unchanged if it ends in none.
    separator : str
        ``_`` or ``-``; ``_`` if there was no suffix.
    """
    match = _pattern().match(name)
    if match is None:
        return name, "_"
    return match["root"], match["separator"]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    from jwgpu.steps.registry import ENTRIES

    known = set(PRODUCT_SUFFIXES)
    for entry in ENTRIES:
        known |= {entry.alias, entry.class_name.lower()}
    words = "|".join(re.escape(word) for word in sorted(known, key=len, reverse=True))
    return re.compile(rf"(?P<root>.+?)(?P<separator>[_-])(?:{words})$")
