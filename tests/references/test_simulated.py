"""Every simulated exposure finds, in its own folder, all the references that belong to it."""

from __future__ import annotations

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwgpu.errors import ReferenceFileError
from jwgpu.references import References
from jwgpu.references.selection import SELECTORS
from jwgpu.simulate import make_dataset

MODES = [
    {"instrument": "NIRCAM", "detector": "NRCA1", "subarray": "SUB160", "readpatt": "SHALLOW4"},
    {"instrument": "NIRISS", "detector": "NIS", "subarray": "SUB64", "readpatt": "NISRAPID"},
    {"instrument": "MIRI", "detector": "MIRIMAGE", "subarray": "SUB64", "readpatt": "FASTR1"},
]
TYPES = ("mask", "saturation", "superbias", "ipc", "linearity", "reset", "rscd", "dark", "gain")


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode["instrument"])
def test_all_are_found_and_fit(tmp_path, mode):
    data = make_dataset(tmp_path, **mode, ngroups=3, nints=2, seed=3)
    with datamodels.open(data.exposure) as model:
        shape, meta = model.data.shape, model.meta
    source = References(folder=tmp_path / "references")
    for reftype in (*TYPES, "readnoise"):
        got = source.load(reftype, meta, shape)
        if mode["instrument"] not in SELECTORS[reftype]:
            assert got is None
            continue
        assert got.path == str(data.references[reftype])
        if hasattr(got, "dq"):
            assert got.dq.shape == shape[-2:]
        if hasattr(got, "data"):
            assert got.data.shape[-2:] == shape[-2:] and np.isfinite(got.data).any()
    meta.instrument.detector = "NRCB3"
    with pytest.raises(ReferenceFileError, match="DETECTOR is"):
        source.load("gain", meta, shape)
