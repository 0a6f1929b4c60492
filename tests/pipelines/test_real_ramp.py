"""A real raw ramp, taken in the laboratory: MIRI SUB64, 5 integrations of 50 groups.

It lies beside the project, not in it. Its references are simulated for the same subarray, so its
rates can agree with the old product beside it (made by jwst 0.17) only as well as those of the
official package do with the same references.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.simulate import Settings, write_references

pytest_plugins = ("official",)

FOLDER = Path(__file__).parents[3] / "shared" / "realdata" / "miri_raw_ramp"
RAMP = FOLDER / "MIRI_5582_89_S_20180308-010230_SCE1_pipe.fits"
OLD = FOLDER / "MIRI_5582_89_S_20180308-010230_SCE1_pipe_rateints.fits"

#: The old product was made without these, and simulated ones know nothing of this detector.
SKIPPED = ("reset", "dark_current")

pytestmark = pytest.mark.skipif(
    not RAMP.exists(), reason=f"the real ramp is not beside the project ({FOLDER})"
)


@pytest.fixture(scope="module")
def products(official, tmp_path_factory):
    """Our products and the official ones of the real ramp, with the same references."""
    folder = tmp_path_factory.mktemp("real")
    settings = Settings(instrument="MIRI", subarray="SUB64", ngroups=50, nints=5)
    references = write_references(settings, folder / "references")
    # The official package does not open a file without an ASDF extension, as this one.
    with datamodels.Level1bModel(RAMP) as model:
        model.save(folder / RAMP.name)
    theirs = official.detector1(
        folder / RAMP.name, references, {step: {"skip": True} for step in SKIPPED}
    )
    overrides = [
        f"--steps.{step}.override_{reftype}={references[reftype]}"
        for step, reftypes in {
            "dq_init": ["mask"],
            "saturation": ["saturation"],
            "ipc": ["ipc"],
            "linearity": ["linearity"],
            "rscd": ["rscd"],
            "jump": ["gain", "readnoise"],
            "ramp_fit": ["gain", "readnoise"],
            "gain_scale": ["gain"],
        }.items()
        for reftype in reftypes
    ]
    overrides += [f"--steps.{step}.skip=true" for step in SKIPPED]
    overrides += ["--steps.saturation.override_superbias=N/A"]
    overrides += [f"--steps.refpix.override_{name}=N/A" for name in ("refpix", "sirskernel")]
    assert main(["detector1", str(RAMP), "--output-dir", str(folder / "ours"), *overrides]) == 0
    return folder / "ours", theirs


def test_the_products_are_the_official_ones(products):
    ours, theirs = products
    # Of a dark that is skipped the official package says so in its ASDF tree, not in S_DARK.
    quirks = frozenset({"S_DARK"})
    assert_same_product(next(ours.glob("*_rate.fits")), theirs.rate, quirks=quirks)
    assert_same_product(next(ours.glob("*_rateints.fits")), theirs.rateints, quirks=quirks)


def test_the_rates_agree_with_the_old_product_as_the_official_ones_do(products):
    ours, theirs = products
    old = _science(OLD)
    our, their = _science(next(ours.glob("*_rateints.fits"))), _science(theirs.rateints)
    ours_apart, theirs_apart = _distance(our, old), _distance(their, old)
    assert ours_apart == pytest.approx(theirs_apart, rel=1e-4)
    # They differ by linearity, IPC and gain: 8 % with simulated references.
    assert ours_apart < 0.1


def _science(path: Path) -> np.ndarray:
    with fits.open(path) as file:
        return np.where(file["DQ"].data & 1, np.nan, file["SCI"].data)


def _distance(rates: np.ndarray, old: np.ndarray) -> float:
    """Return the typical relative distance of two products' rates where both have one."""
    bright = old > np.nanmedian(old) / 2
    return float(np.nanmedian(np.abs(rates[bright] - old[bright]) / old[bright]))
