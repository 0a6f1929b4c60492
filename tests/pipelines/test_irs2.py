"""IRS2 exposures through the whole of detector1, against the official pipeline and the truth.

The size of an IRS2 exposure is fixed, 3200 x 2048: few groups, to be quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.simulate import make_dataset

pytest_plugins = ("official",)


def calibrate(data: Any, folder: Path, *options: str) -> Path:
    """Run the command line on a data set, and return the rate."""
    references = str(data.exposure.parent / "references")
    arguments = [str(data.exposure), "--references", references, "--output-dir", str(folder)]
    assert main(["detector1", *arguments, *options]) == 0
    (rate,) = folder.glob("*_rate.fits")
    return rate


def test_products_are_the_official_ones(official, tmp_path):
    data = official.dataset(
        seed=3, instrument="NIRSPEC", detector="NRS2", readpatt="NRSIRS2", ngroups=3
    )
    theirs = official.detector1(data.exposure, data.references)
    rate = calibrate(data, tmp_path)
    # A rate is a small difference of samples that differ by 1e-5 DN, the rounding of the FFTs.
    assert_same_product(rate, theirs.rate, SCI=2e-5, VAR_POISSON=2e-6, ERR=2e-6)
    (rateints,) = tmp_path.glob("*_rateints.fits")
    assert_same_product(rateints, theirs.rateints, SCI=2e-5, VAR_POISSON=2e-6, ERR=2e-6)


def test_rates_are_the_true_ones(tmp_path):
    # With frame zero, which the official pipeline cannot take together with IRS2. The electronics
    # add 15 DN of slow noise and 5 DN of 1/f noise, several times the read noise.
    data = make_dataset(
        tmp_path,
        seed=3,
        instrument="NIRSPEC",
        readpatt="NRSIRS2RAPID",
        ngroups=4,
        zero_frame=True,
        flicker_noise=5.0,
        drift=15.0,
    )
    with datamodels.open(calibrate(data, tmp_path / "products")) as rate:
        good = (rate.dq == 0) & (data.truth.flags == 0)
        assert rate.data.shape == (2048, 2048)
        assert good.mean() > 0.9
        pulls = ((rate.data - data.truth.rate) / rate.err)[good]
    assert abs(np.median(pulls)) < 0.3
    assert 0.7 < 1.4826 * np.median(np.abs(pulls - np.median(pulls))) < 1.5
