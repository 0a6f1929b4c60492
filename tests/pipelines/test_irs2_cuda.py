"""IRS2 on a GPU, from file to product: as on the CPU but for the rounding of the transforms."""

from __future__ import annotations

import numpy as np
from astropy.io import fits
from test_cuda import calibrate

from jwgpu.simulate import make_dataset

#: As of the official products in test_irs2: a rate is a small difference of samples that differ by
#: 1e-5 DN.
TOLERANCE = {"SCI": 5e-5, "ERR": 5e-6, "VAR_POISSON": 5e-6, "VAR_RNOISE": 0.0}


def test_products_are_those_of_the_cpu(cuda, tmp_path):
    settings = {"detector": "NRS2", "readpatt": "NRSIRS2", "ngroups": 3}
    data = make_dataset(tmp_path, seed=3, instrument="NIRSPEC", **settings)
    for device in ("cpu", "cuda"):
        calibrate("detector1", data.exposure, tmp_path / device, device)
    for path in (tmp_path / "cpu").glob("*.fits"):
        with fits.open(path) as want, fits.open(tmp_path / "cuda" / path.name) as found:
            np.testing.assert_array_equal(found["DQ"].data, want["DQ"].data)
            for name, atol in TOLERANCE.items():
                ours, theirs = found[name].data, want[name].data
                np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=atol, err_msg=name)
