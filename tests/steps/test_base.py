"""What every step shares, shown on a small step of the tests' own."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
import stpipe
from stdatamodels.jwst import datamodels

import jwgpu
from jwgpu.errors import ReferenceFileError
from jwgpu.models.ramp import Ramp
from jwgpu.references.types import GainReference, SuperBiasReference
from jwgpu.steps.base import RampStep, SkipStep, param
from jwgpu.steps.source_catalog import SourceCatalogStep
from jwgpu.steps.suffixes import remove_suffix


class AddStep(RampStep):
    """Add a number, or the bias, to every sample."""

    class_alias = "superbias"

    number: float = param(1.0, help="what to add")
    is_refused: bool = param(False, help="skip itself")
    calls: ClassVar[list[float]] = []

    def correct(self, ramp: Ramp, superbias: SuperBiasReference | None) -> None:
        if self.is_refused:
            raise SkipStep("the test wants it so")
        ramp.data += self.number if superbias is None else superbias.data


class NeedyStep(RampStep):
    """Need a gain."""

    class_alias = "jump"

    def correct(self, ramp: Ramp, gain: GainReference) -> None:
        ramp.data *= gain.data


class StrictStep(NeedyStep):
    """Need a gain, and fail without."""

    is_skipped_without_references = False


@pytest.fixture
def model():
    model = datamodels.RampModel((1, 2, 4, 5))
    model.meta.filename = "jw1_ramp.fits"
    model.meta.instrument.name = "NIRCAM"
    model.meta.instrument.detector = "NRCA1"
    model.meta.exposure.readpatt = "RAPID"
    model.meta.exposure.ngroups = 2
    model.meta.exposure.nints = 1
    model.meta.subarray.name = "SUB64P"
    for name, value in {"xstart": 3, "ystart": 2, "xsize": 5, "ysize": 4}.items():
        setattr(model.meta.subarray, name, value)
    return model


def without_references(**parameters):
    return {"override_superbias": "N/A", "offline": True, **parameters}


def test_references_are_read_off_the_signature():
    assert AddStep.reference_file_types == ["superbias"]
    assert AddStep.reference_classes == {"superbias": SuperBiasReference}
    assert AddStep.optional_references == {"superbias"}
    assert NeedyStep.optional_references == frozenset()


def test_the_caller_keeps_the_input(model):
    result = AddStep.call(model, **without_references(number=2.0))
    assert (result.data == 2).all()
    assert not model.data.any()
    assert model.meta.cal_step.superbias is None


def test_a_step_run_by_itself_on_a_file(model, tmp_path):
    model.save(tmp_path / "jw1_ramp.fits")
    step = AddStep(**without_references(save_results=True, output_dir=str(tmp_path / "out")))
    step.run(str(tmp_path / "jw1_ramp.fits"))
    with datamodels.open(tmp_path / "out" / "jw1_addstep.fits") as result:
        assert (result.data == 1).all()
        assert result.meta.cal_step.superbias == "COMPLETE"
        assert result.meta.calibration_software_version == jwgpu.__version__
        assert result.meta.calibration_software_revision == "jwgpu"


def test_a_model_as_override_is_cut_and_named(model):
    bias = datamodels.SuperBiasModel((2048, 2048))
    bias.data[:] = np.arange(2048)
    bias.meta.instrument.name = "NIRCAM"
    bias.meta.filename = "mybias.fits"
    for name, value in {"xstart": 1, "ystart": 1, "xsize": 2048, "ysize": 2048}.items():
        setattr(bias.meta.subarray, name, value)
    result = AddStep.call(model, override_superbias=bias, offline=True)
    np.testing.assert_array_equal(result.data[0, 0, 0], np.arange(2, 7))
    assert result.meta.ref_file.superbias.name == bias.override_handle


def test_a_step_that_refuses_is_skipped_and_says_so(model, caplog):
    with caplog.at_level(logging.INFO, "jwgpu"):
        result = AddStep(**without_references(is_refused=True)).run(model)
    assert result.meta.cal_step.superbias == "SKIPPED"
    assert "superbias is skipped: the test wants it so" in caplog.text


def test_without_a_needed_reference_a_step_is_skipped(model, caplog):
    with caplog.at_level(logging.WARNING, "jwgpu"):
        result = NeedyStep(override_gain="N/A").run(model)
    assert result.meta.cal_step.jump == "SKIPPED"
    assert "GAIN reference" in caplog.text


def test_without_a_needed_reference_a_strict_step_fails(model):
    with pytest.raises(ReferenceFileError, match=r"jw1_ramp.fits: jump needs a GAIN reference"):
        StrictStep(override_gain="N/A").run(model)


def test_a_missing_override_is_said(model):
    with pytest.raises(ReferenceFileError, match=r"nowhere.fits: no such file"):
        NeedyStep(override_gain="/nowhere.fits").run(model)


def test_the_log_in_a_product_names_no_person_and_no_folder(model, tmp_path):
    import getpass
    import socket

    model.save(tmp_path / "jw1_ramp.fits")
    result = AddStep.call(str(tmp_path / "jw1_ramp.fits"), **without_references())
    text = "\n".join(result.cal_logs.instance["superbias"])
    assert "jw1_ramp.fits" in text
    for private in (str(tmp_path), getpass.getuser(), socket.gethostname()):
        assert private not in text


def test_crds_out_of_reach_is_an_error_and_not_the_end(model, tmp_path):
    # In a process of its own: crds remembers what it once reached.
    model.save(tmp_path / "jw1_ramp.fits")
    program = f"""
from jwgpu.errors import ReferenceFileError
from jwgpu.steps.superbias import SuperBiasStep
try:
    SuperBiasStep.call({str(tmp_path / "jw1_ramp.fits")!r})
except ReferenceFileError as error:
    print("said:", error)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CRDS", "STPIPE"))}
    environment |= {"CRDS_PATH": str(tmp_path), "CRDS_SERVER_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "said:" in done.stdout, done.stderr
    assert "no parameter reference from CRDS" in done.stdout


@pytest.mark.parametrize(
    ("name", "root", "separator"),
    [
        ("jw01_nrca1_uncal", "jw01_nrca1", "_"),
        ("jw01_nrca1_rateints", "jw01_nrca1", "_"),
        ("jw01_nrca1-rate", "jw01_nrca1", "-"),
        ("jw01_nrca1_jumpstep", "jw01_nrca1", "_"),
        ("jw01_nrca1_dark_current", "jw01_nrca1", "_"),
        ("jw01_nrca1", "jw01_nrca1", "_"),
        ("uncal", "uncal", "_"),
        ("jw01_uncal_more", "jw01_uncal_more", "_"),
    ],
)
def test_product_suffixes_are_removed(name, root, separator):
    assert remove_suffix(name) == (root, separator)


@pytest.mark.parametrize("fails", [False, True])
def test_no_search_for_garbage_within_a_pipeline(model, monkeypatch, fails):
    """What stpipe does before each step is worth it once; afterwards all is as before."""
    found = []

    def note():
        found.append(gc.get_freeze_count() > 0)

    def process(ramp):
        note()
        if fails:
            raise ValueError("as the test wants")
        return ramp

    monkeypatch.setattr(stpipe.step.gc, "collect", note)
    gc.unfreeze()  # what these tests, or a command that ran in them, left out of it
    try:
        for parent in (None, AddStep()):
            step = AddStep()
            step.parent = parent
            monkeypatch.setattr(step, "process", process)
            with contextlib.suppress(ValueError):
                step.run(model)
        assert found == [False, False, True, False]
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()


@pytest.mark.parametrize("kind", ["science", "psf"])
def test_crds_is_asked_about_the_first_exposure_of_an_association(tmp_path, kind):
    """Parameter references are chosen by its keywords, whichever step reads the association."""
    from jwgpu.steps.wfs_combine import WfsCombineStep

    model = datamodels.ImageModel((2, 2))
    model.meta.instrument.name = "NIRCAM"
    model.save(str(tmp_path / "a_cal.fits"))
    members = [{"expname": "a_cal.fits", "exptype": kind}]
    content = {"asn_type": "image3", "products": [{"name": "a", "members": members}]}
    path = tmp_path / "a_asn.json"
    path.write_text(json.dumps(content))
    for given in (path, str(path), [tmp_path / "a_cal.fits"], [model]):
        found, observatory = WfsCombineStep._get_crds_parameters(given)
        assert (found["meta.instrument.name"], observatory) == ("NIRCAM", "jwst")


@pytest.mark.parametrize("is_of_ramps", [True, False])
def test_a_limit_of_memory_that_does_not_count_is_told_of(is_of_ramps, caplog):
    step = AddStep() if is_of_ramps else SourceCatalogStep()
    step.max_memory = "4GB"
    assert step.session.max_memory == 4 * 10**9
    assert ("max_memory does not count here" in caplog.text) is not is_of_ramps
