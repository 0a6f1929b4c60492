"""Stars on the sky through all three stages, from raw ramps on, against what went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import demo_imaging, main
from jwgpu.simulate.fields import make_field

#: The stars are so bright that noise is small beside what is asked for: 0.2 % of the flux, some
#: 0.005 pixels; the rest is what aligning, sampling and bad pixels leave.
FIELDS = {
    "NRCA1": {"subarray": "SUB320", "distance": 40.0},
    "MIRIMAGE": {"instrument": "MIRI", "subarray": "SUB256", "distance": 30.0},
}


@pytest.mark.parametrize("detector", FIELDS)
def test_places_and_fluxes_of_stars(detector: str, tmp_path: Path) -> None:
    field = make_field(
        tmp_path,
        4,
        detector=detector,
        error=0.005,
        flux=(5000.0, 20000.0),
        ngroups=8,
        seed=4,
        psf_sigma=demo_imaging.PSF_SIGMA,
        **FIELDS[detector],
    )
    where = ["--references", str(field.references), "--output-dir"]
    assert main(["detector1", str(tmp_path), *where, str(tmp_path / "rate")]) == 0
    assert main(["image2", str(tmp_path / "rate"), *where, str(tmp_path / "cal")]) == 0
    names = sorted(path.name for path in (tmp_path / "cal").glob("*_cal.fits"))
    association = tmp_path / "cal" / "l3_asn.json"
    words = ["-o", str(association), "--product-name", demo_imaging.NAME, *names]
    assert main(["asn_from_list", *words]) == 0
    options = [f"--{name}={value}" for name, value in demo_imaging.ALIGNMENT.items()]
    assert main(["image3", str(association), *where, str(tmp_path), *options]) == 0
    found = demo_imaging.read(field, tmp_path)
    assert len(found.x) >= 45
    assert found.is_found.all()
    assert not len(found.others)
    assert found.distance.max() < 0.05
    assert np.median(found.flux) == pytest.approx(1, abs=0.005)
    assert np.sqrt(np.mean((found.flux - 1) ** 2)) < 0.01
    assert np.abs(found.flux - 1).max() < 0.02
    assert fits.getval(tmp_path / f"{demo_imaging.NAME}_i2d.fits", "NDRIZ") == 4
