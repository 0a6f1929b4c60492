"""Long exposures, written integration by integration."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwgpu.errors import ParameterError
from jwgpu.simulate import Settings, simulate_exposure, write_exposure
from jwgpu.simulate.streaming import long_dataset, write_long_exposure

EXPOSURES = {
    "miri": {"instrument": "MIRI", "window": (1, 1, 64, 24), "ngroups": 5, "nints": 3},
    "zero frame": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "window": (1, 1, 64, 24),
        "readpatt": "MEDIUM8",
        "ngroups": 3,
        "nints": 2,
        "snowballs": 1.0,
    },
    "one integration": {"instrument": "NIRISS", "window": (1, 1, 64, 24), "ngroups": 2},
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", EXPOSURES)
def test_the_file_is_the_one_that_is_written_at_once(tmp_path, case, threads):
    settings = Settings(seed=3, **EXPOSURES[case])
    at_once = write_exposure(simulate_exposure(settings), tmp_path / "once")
    streamed = write_long_exposure(settings, tmp_path / "streamed", threads)
    with fits.open(at_once) as a, fits.open(streamed) as b:
        assert [hdu.name for hdu in a] == [hdu.name for hdu in b]
        for one, other in zip(a, b, strict=True):
            if one.name == "ASDF":
                continue  # says how many integrations the frame of the file had
            assert one.header == other.header
            if one.data is not None:
                np.testing.assert_array_equal(one.data, other.data)
    with datamodels.open(at_once) as a, datamodels.open(streamed) as b:
        np.testing.assert_array_equal(a.data, b.data)
        assert b.data.shape[0] == settings.nints
    assert [p.name for p in streamed.parent.iterdir()] == [streamed.name]


def test_references_come_with_it(tmp_path):
    exposure, references = long_dataset(tmp_path, seed=3, **EXPOSURES["miri"])
    assert exposure.exists() and len(list(references.iterdir())) > 5


def test_irs2_is_refused(tmp_path):
    settings = Settings(instrument="NIRSPEC", readpatt="NRSIRS2RAPID", ngroups=2)
    with pytest.raises(ParameterError, match="IRS2"):
        write_long_exposure(settings, tmp_path)
