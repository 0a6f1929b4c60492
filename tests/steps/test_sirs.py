"""The refpix step with refpix_algorithm="sirs" against the official step."""

from __future__ import annotations

import logging

import asdf
import numpy as np
import pytest
from offline import official_step
from test_refpix import exposure

from jwgpu.errors import ReferenceFileError
from jwgpu.simulate import Settings, write_references
from jwgpu.steps.refpix import RefPixStep

# As for the running median; the template is double precision in both packages.
TOLERANCE = {"rtol": 1e-6, "atol": 1e-4}


@pytest.fixture(autouse=True)
def _quiet():
    for name in ("jwst", "stpipe"):
        logging.getLogger(name).setLevel(logging.ERROR)


@pytest.fixture
def kernels(tmp_path):
    def write(instrument, detector):
        chosen = Settings(instrument, detector)
        return str(write_references(chosen, tmp_path, types=["sirskernel"])["sirskernel"])

    return write


def ours(model, path, **parameters):
    step = RefPixStep()
    step.override_sirskernel = path
    for name, value in parameters.items():
        setattr(step, name, value)
    return step.process(model)


@pytest.mark.parametrize("detector", ["NRCA1", "NRS1", "NRS2"])
def test_full_frame_is_the_official_one(kernels, detector):
    model = exposure(detector, (1, 1, 2048, 2048))
    path = kernels(model.meta.instrument.name, detector)
    parameters = {"refpix_algorithm": "sirs", "sigreject": 3.0, "gaussmooth": 1.5, "halfwidth": 25}
    if detector == "NRCA1":
        model.meta.exposure.zero_frame = True
        model.zeroframe = model.data[:, 0] * 0.5
        model.zeroframe[0, 100, 4:50] = 0.0
    expected = official_step("refpix", model, {"sirskernel": path}, **parameters)
    result = ours(model, path, **parameters)
    np.testing.assert_allclose(result.data, expected.data, **TOLERANCE)
    if detector == "NRCA1":
        np.testing.assert_allclose(result.zeroframe, expected.zeroframe, **TOLERANCE)
    assert result.meta.cal_step.refpix == expected.meta.cal_step.refpix == "COMPLETE"
    assert result.meta.ref_file.sirskernel.name == path
    median = ours(model, "N/A")
    assert np.abs(result.data - median.data).max() > 1


@pytest.mark.parametrize(
    ("has_file", "parameters"), [(False, {}), (True, {"use_side_ref_pixels": False}), (True, {})]
)
def test_running_median_where_there_are_no_kernels(kernels, has_file, parameters):
    model = exposure("NRS1", (1, 1, 2048, 2048))
    # A file for the other detector holds nothing for this one.
    path = kernels("NIRSPEC", "NRS2") if has_file else "N/A"
    expected = official_step(
        "refpix", model, {"sirskernel": path}, refpix_algorithm="sirs", **parameters
    )
    result = ours(model, path, refpix_algorithm="sirs", **parameters)
    np.testing.assert_allclose(result.data, expected.data, **TOLERANCE)
    assert result.meta.cal_step.refpix == "COMPLETE"


def test_a_file_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "sirs.asdf"
    wrong = {"gamma": np.zeros((3, 9)), "zeta": np.zeros((3, 9))}
    asdf.AsdfFile({"meta": {"reftype": "sirskernel"}, "nrca1": wrong}).write_to(path)
    model = exposure("NRCA1", (1, 1, 2048, 2048))
    with pytest.raises(ReferenceFileError, match=r"sirs\.asdf: gamma and zeta of nrca1"):
        ours(model, str(path), refpix_algorithm="sirs")
