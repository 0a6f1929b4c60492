"""``jwgpu simulate``, and what the demo makes of a calibration."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.cli import demo, main, picture
from jwgpu.cli import simulate as command
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED
from jwgpu.simulate import Settings, make_dataset


def test_every_setting_has_an_option():
    assert set(command.HELP) == {field.name for field in fields(Settings)}
    assert len(command.setting_options()) == len(command.HELP)


def test_exposure_and_references_are_written(tmp_path, capsys):
    words = ["--subarray=SUB64P", "--detector=NRCB1", "--ngroups", "3", "--no-bad-pixels"]
    assert (
        main(["simulate", "--output-dir", str(tmp_path), *words, "--window", "5", "9", "32", "16"])
        == 0
    )
    (exposure,) = tmp_path.glob("*_uncal.fits")
    assert str(exposure) in capsys.readouterr().out
    assert fits.getdata(exposure, "SCI").shape == (1, 3, 16, 32)
    assert len(list((tmp_path / "references").glob("*.fits"))) >= 7


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--ngroups=0", "ngroups"),
        ("--subarray=NOWHERE", "no subarray"),
        ("--instrument=HUBBLE", "no instrument"),
        ("--ngroups=few", "not a valid integer"),
        ("--ngruops=3", "did you mean --ngroups?"),
    ],
)
def test_a_wrong_setting_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, word, message):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", word]) == 2
    error = capsys.readouterr().err
    assert error.startswith("jwgpu: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("demo"),
        detector="NRCB1",
        subarray="SUB64P",
        ngroups=5,
        seed=3,
        cosmic_rays=0.02,
    )


@pytest.fixture
def perfect(dataset):
    """A calibration that finds the truth, with errors as large as its scatter."""
    rate = dataset.truth.rate
    error = np.full_like(rate, 0.1)
    noise = np.random.default_rng(1).normal(0, 0.1, rate.shape).astype(np.float32)
    groupdq = np.zeros((1, 5, *rate.shape), np.uint8)
    hits = dataset.truth.cosmic_rays
    groupdq[hits["integration"], np.minimum(hits["group"], 4), hits["y"], hits["x"]] |= JUMP_DET
    return demo.Calibrated(rate + noise, error, np.zeros(rate.shape, np.uint32), groupdq)


def test_a_perfect_calibration_is_judged_so(dataset, perfect):
    verdict = demo.judge(dataset, perfect)
    assert verdict.bias == pytest.approx(0, abs=0.1)
    assert verdict.scatter == pytest.approx(1, abs=0.1)
    assert verdict.hits > 10
    assert verdict.hits_found == verdict.hits


def test_a_biased_calibration_is_noticed(dataset, perfect):
    perfect.rate = perfect.rate + 0.3
    assert demo.judge(dataset, perfect).bias == pytest.approx(3, abs=0.1)


def test_missed_hits_are_counted(dataset, perfect):
    perfect.groupdq[:] = 0
    verdict = demo.judge(dataset, perfect)
    assert verdict.hits_found == 0
    assert verdict.hits > 10


def test_flagged_pixels_do_not_count(dataset, perfect):
    before = demo.judge(dataset, perfect)
    perfect.dq[:32] = DO_NOT_USE
    perfect.groupdq[:, :, 32:] = SATURATED
    after = demo.judge(dataset, perfect)
    assert after.usable <= 0.5
    assert 0 < after.hits < before.hits


def test_the_picture_is_drawn(dataset, perfect, tmp_path):
    file = tmp_path / "demo.png"
    perfect.rate[0, 0] = np.nan
    picture.draw(dataset, perfect, demo.judge(dataset, perfect), file)
    assert file.read_bytes().startswith(b"\x89PNG")
