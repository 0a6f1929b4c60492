"""Small exposures and reference files in the formats of CRDS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

NEAR_IR = {
    "INSTRUME": "NIRCAM",
    "DETECTOR": "NRCA1",
    "SUBARRAY": "FULL",
    "SUBSTRT1": 1,
    "SUBSTRT2": 1,
    "SUBSIZE1": 2048,
    "SUBSIZE2": 2048,
    "USEAFTER": "2020-01-01T00:00:00",
}


@pytest.fixture
def exposure() -> Callable[..., Any]:
    """Make the model of an exposure; `place` is (xstart, ystart, xsize, ysize)."""

    def make(
        shape: tuple[int, ...] = (1, 4, 16, 24),
        place: tuple[int, int] = (9, 17),
        **keywords: Any,
    ) -> Any:
        model = datamodels.RampModel(shape)
        given = {
            "filename": "jw1_uncal.fits",
            "instrument.name": "NIRCAM",
            "instrument.detector": "NRCA1",
            "instrument.filter": "F200W",
            "exposure.type": "NRC_IMAGE",
            "exposure.readpatt": "RAPID",
            "exposure.nints": shape[0],
            "exposure.ngroups": shape[1],
            "exposure.nframes": 1,
            "exposure.groupgap": 0,
            "subarray.name": "SUB160",
            "subarray.xstart": place[0],
            "subarray.ystart": place[1],
            "subarray.xsize": shape[-1],
            "subarray.ysize": shape[-2],
            "observation.date": "2023-05-06",
            "observation.time": "07:08:09.1",
            **keywords,
        }
        for name, value in given.items():
            if value is not None:
                model[f"meta.{name}"] = value
        return model

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a reference file: keywords as a dict, extensions by name, a table of flags."""

    def make(
        name: str,
        reftype: str,
        keywords: dict[str, Any] | None = None,
        flags: list[tuple[int, str]] | None = None,
        **arrays: np.ndarray,
    ) -> Path:
        header = {"TELESCOP": "JWST", "REFTYPE": reftype.upper(), **NEAR_IR, **(keywords or {})}
        primary = fits.PrimaryHDU()
        for key, value in header.items():
            if value is not None:
                primary.header[key] = value
        hdus = [primary, *(fits.ImageHDU(a, name=n) for n, a in arrays.items())]
        if flags is not None:
            columns = [
                fits.Column("BIT", "J", array=np.arange(len(flags))),
                fits.Column("VALUE", "J", array=np.array([v for v, _ in flags]), bzero=2**31)
                if any(v >= 2**31 for v, _ in flags)
                else fits.Column("VALUE", "J", array=np.array([v for v, _ in flags])),
                fits.Column("NAME", "40A", array=[n for _, n in flags]),
                fits.Column("DESCRIPTION", "80A", array=["" for _ in flags]),
            ]
            hdus.append(fits.BinTableHDU.from_columns(columns, name="DQ_DEF"))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fits.HDUList(hdus).writeto(path, overwrite=True)
        return path

    return make
