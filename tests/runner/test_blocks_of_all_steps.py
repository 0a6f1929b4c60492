"""Steps that must know more than a part of an exposure, and products of ramps, in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from in_blocks import ANY_BLOCKS, assert_identical, calibrate, cut
from stdatamodels.jwst import datamodels

from jwgpu.simulate import make_dataset

NIRCAM = {"instrument": "NIRCAM", "window": (1, 1, 72, 37), "ngroups": 7, "nints": 3}
MIRI = {"instrument": "MIRI", "window": (1, 1, 128, 112), "ngroups": 14, "nints": 2}

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": NIRCAM,
    "zero frame": {**NIRCAM, "readpatt": "MEDIUM8", "ngroups": 5},
    "snowballs": {
        "instrument": "NIRCAM",
        "window": (1, 1, 192, 160),
        "ngroups": 5,
        "nints": 3,
        "snowballs": 3.0,
        "seed": 9,
    },
    "showers": {**MIRI, "showers": 4.0, "n_stars": 5, "seed": 2},
    "many showers": {
        "instrument": "MIRI",
        "window": (1, 1, 72, 64),
        "ngroups": 4,
        "nints": 101,
        "showers": 4.0,
        "n_stars": 2,
    },
    "waves": {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 12, "nints": 3,
              "interference": 8.0},
    "stripes": {**NIRCAM, "window": (1, 1, 128, 96), "ngroups": 5, "flicker_noise": 20.0},
    "waves of NIRSpec": {
        "instrument": "NIRSPEC",
        "subarray": "SUB512",
        "ngroups": 4,
        "nints": 3,
        "exp_type": "NRS_BRIGHTOBJ",
        "flicker_noise": 20.0,
    },
    "picture frame": {
        "instrument": "NIRSPEC",
        "detector": "NRS2",
        "readpatt": "NRSRAPID",
        "exp_type": "NRS_DARK",
        "ngroups": 3,
        "nints": 2,
        "picture_frame": 0.05,
        "star_peaks": (0.01, 0.02),
    },
    "IRS2": {
        "instrument": "NIRSPEC",
        "detector": "NRS2",
        "readpatt": "NRSIRS2RAPID",
        "ngroups": 3,
        "nints": 2,
        "zero_frame": True,
    },
    "superstripes": {
        "detector": "NRCB1",
        "subarray": "SUB64P_SUPSTP008",
        "window": (1851, 2046, 64, 18),
        "stripes": (1, 165, 8, 0, 1, 0, 8, 3),
        "zero_frame": True,
        "ngroups": 5,
        "nints": 6,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def exposure_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that gives an exposure, simulated once."""
    made: dict[str, Path] = {}

    def get(case: str) -> Path:
        if case not in made:
            folder = tmp_path_factory.mktemp(case.replace(" ", "-"))
            made[case] = make_dataset(folder, **{"seed": 5, **EXPOSURES[case]}).exposure
        return made[case]

    return get


def header(folder: Path, suffix: str) -> Any:
    (path,) = folder.glob(f"*_{suffix}.fits")
    return fits.getheader(path)


SNOWBALLS = ["--steps.jump.expand_large_events=true", "--steps.jump.min_jump_area=10"]
WINDOWS = ["--steps.persistence.skip=false", "--steps.persistence.persistence_time=60"]

FLICKER_STEP = "clean_flicker_noise"
FLICKER = [f"--steps.{FLICKER_STEP}.skip=false"]
WAVES = ["--steps.emicorr.skip=false"]

#: The exposure, options, what the product's keywords say of the step.
CASES: dict[str, tuple[str, list[str], tuple[str, Any]]] = {
    "snowballs": ("snowballs", SNOWBALLS, ("EXTNCRS", None)),
    "snowballs anywhere": (
        "snowballs",
        [*SNOWBALLS, "--steps.jump.sat_required_snowball=false"],
        ("EXTNCRS", None),
    ),
    "showers": ("showers", ["--steps.jump.find_showers=true"], ("EXTNCRS", None)),
    "clipped showers": ("many showers", ["--steps.jump.find_showers=true"], ("S_JUMP", "COMPLETE")),
    "both": (
        "snowballs",
        [*SNOWBALLS, "--steps.jump.find_showers=true"],
        ("S_JUMP", "COMPLETE"),
    ),
    "too few for showers": (
        "nircam",
        ["--steps.jump.find_showers=true", "--steps.jump.minimum_sigclip_groups=2"],
        ("S_JUMP", "COMPLETE"),
    ),
    "windows": ("nircam", WINDOWS, ("S_PERSIS", "COMPLETE")),
    "windows that are not used": (
        "nircam",
        [*WINDOWS, "--steps.persistence.persistence_dnu=true", "--steps.jump.skip=true"],
        ("S_PERSIS", "COMPLETE"),
    ),
    "no windows": ("nircam", WINDOWS[:1], ("S_PERSIS", "FAILED")),
    "snowballs and windows": ("snowballs", [*SNOWBALLS, *WINDOWS], ("S_PERSIS", "COMPLETE")),
    "waves": ("waves", WAVES, ("S_MIREMI", "COMPLETE")),
    "waves of each integration": (
        "waves",
        [*WAVES, "--steps.emicorr.fit_ints_separately=true"],
        ("S_MIREMI", "COMPLETE"),
    ),
    "folded waves": (
        "waves",
        [*WAVES, "--steps.emicorr.algorithm=sequential", "--steps.emicorr.nints_to_phase=3"],
        ("S_MIREMI", "COMPLETE"),
    ),
    "waves on the fly": (
        "waves",
        [
            *WAVES,
            "--steps.emicorr.onthefly_corr_freq=390.625,218.52055",
            "--steps.emicorr.save_intermediate_results=true",
        ],
        ("S_MIREMI", "COMPLETE"),
    ),
    "flicker noise": (
        "stripes",
        [
            *FLICKER,
            *(f"--steps.{FLICKER_STEP}.save_{k}=true" for k in ("mask", "background", "noise")),
        ],
        ("S_CLNFNS", "COMPLETE"),
    ),
    "flicker noise, a mask each": (
        "stripes",
        [
            *FLICKER,
            f"--steps.{FLICKER_STEP}.single_mask=false",
            f"--steps.{FLICKER_STEP}.background_method=model",
        ],
        ("S_CLNFNS", "COMPLETE"),
    ),
    "flicker noise around the median image": (
        "stripes",
        [*FLICKER, f"--steps.{FLICKER_STEP}.background_method=median_image"],
        ("S_CLNFNS", "COMPLETE"),
    ),
    "flicker noise, chosen": (
        "stripes",
        [
            *FLICKER,
            f"--steps.{FLICKER_STEP}.autoparam=true",
            "--steps.clean_flicker_noise.override_flat=N/A",
        ],
        ("S_CLNFNS", "COMPLETE"),
    ),
    "waves of NIRSpec": (
        "waves of NIRSpec",
        [*FLICKER, f"--steps.{FLICKER_STEP}.fit_method=fft"],
        ("S_CLNFNS", "COMPLETE"),
    ),
    "superstripes": ("superstripes", [], ("S_JUMP", "COMPLETE")),
    "ramps of superstripes": (
        "superstripes",
        ["--save-calibrated-ramp=true", "--steps.dq_init.save_results=true"],
        ("S_JUMP", "COMPLETE"),
    ),
    "segments": ("nircam", ["--steps.ramp_fit.save_opt=true"], ("S_RAMP", "COMPLETE")),
    "segments of chi-square": (
        "nircam",
        ["--steps.ramp_fit.save_opt=true", "--steps.ramp_fit.algorithm=LIKELY"],
        ("S_RAMP", "COMPLETE"),
    ),
    "ramps": ("zero frame", ["--save-calibrated-ramp=true"], ("S_RAMP", "COMPLETE")),
    "ramps only": ("showers", ["--steps.ramp_fit.skip=true"], ("S_RAMP", "SKIPPED")),
    "products of steps": (
        "nircam",
        [
            f"--steps.{alias}.save_results=true"
            for alias in ("linearity", "jump", "ramp_fit", "gain_scale")
        ],
        ("S_LINEAR", "COMPLETE"),
    ),
}


@pytest.mark.parametrize("size", [(1, 9), (2, 40)])
@pytest.mark.parametrize("name", CASES)
def test_products_are_the_same_in_blocks(exposure_of, tmp_path, monkeypatch, name, size):
    case, options, (keyword, value) = CASES[name]
    exposure = exposure_of(case)
    whole = calibrate(exposure, tmp_path / "whole", *options)
    found = header(whole, "ramp" if name == "ramps only" else "rate")[keyword]
    assert found == value if value is not None else found > 0
    cuts = cut(monkeypatch, *size)
    assert_identical(calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS, *options), whole)
    assert max(n for _, n in cuts) > 1


@pytest.mark.parametrize("options", [[], ["--steps.refpix.irs2_mean_subtraction=true"]])
def test_interleaved_reference_pixels_go_in_blocks(exposure_of, tmp_path, monkeypatch, options):
    exposure = exposure_of("IRS2")
    whole = calibrate(exposure, tmp_path / "whole", *options)
    cuts = cut(monkeypatch, 1, 700)
    assert_identical(calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS, *options), whole)
    assert ("refpix", 2) in cuts


def test_the_picture_frame_goes_in_blocks(exposure_of, tmp_path, monkeypatch):
    exposure = exposure_of("picture frame")
    options = ["--steps.picture_frame.skip=false", "--steps.picture_frame.save_correction=true"]
    whole = calibrate(exposure, tmp_path / "whole", *options)
    assert header(whole, "rate")["S_PCTFRM"] == "COMPLETE"
    cuts = cut(monkeypatch, 1, 700)
    assert_identical(calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS, *options), whole)
    assert ("picture_frame", 2) in cuts


def test_a_fit_of_waves_that_fails_leaves_the_exposure_as_it_was(
    exposure_of, tmp_path, monkeypatch
):
    """It fails in the second block, when the first one has been cleaned."""
    from jwgpu.steps import cleaning

    exposure = exposure_of("waves of NIRSpec")
    usual, calls = cleaning.subarray_noise, [0]

    def fails_late(*arguments):
        calls[0] += 1
        return None if calls[0] == 5 else usual(*arguments)

    monkeypatch.setattr(cleaning, "subarray_noise", fails_late)
    options = [*FLICKER, f"--steps.{FLICKER_STEP}.fit_method=fft"]
    whole = calibrate(exposure, tmp_path / "whole", *options)
    assert header(whole, "rate")["S_CLNFNS"] == "FAILED"
    calls[0] = 0
    cut(monkeypatch, 1, 9)
    assert_identical(calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS, *options), whole)
    assert calls[0] == 5


def test_a_saved_ramp_is_whole(exposure_of, tmp_path, monkeypatch):
    """What is written piece by piece is read by everybody as what it is."""
    exposure = exposure_of("zero frame")
    cut(monkeypatch, 1, 9)
    calibrate(exposure, tmp_path, ANY_BLOCKS, "--save-calibrated-ramp=true")
    (path,) = tmp_path.glob("*_ramp.fits")
    with datamodels.open(path) as model:
        assert model.data.shape == (3, 5, 37, 72) and model.zeroframe.shape == (3, 37, 72)
        assert model.data.dtype.name == "float32" and model.groupdq.dtype == np.uint8
        assert np.isfinite(model.data).all() and model.groupdq.any()
        assert model.meta.filename == path.name


@pytest.mark.parametrize(
    ("case", "command", "options"),
    [
        ("nircam", "calwebb_dark", []),
        ("waves", "calwebb_dark", []),
        ("zero frame", "saturation", []),
        ("nircam", "jump", []),
        ("snowballs", "jump", ["--expand_large_events=true"]),
        ("nircam", "ramp_fit", ["--save_opt=true"]),
        ("nircam", "persistence", ["--persistence_time=60"]),
        ("stripes", "clean_flicker_noise", ["--save_noise=true"]),
        # Bad rows are replaced although the step ends as skipped.
        ("IRS2", "refpix", ["--override_refpix=N/A"]),
    ],
)
def test_a_pipeline_of_darks_or_a_step_works_in_blocks(
    exposure_of, tmp_path, monkeypatch, case, command, options
):
    exposure = exposure_of(case)
    whole = calibrate(exposure, tmp_path / "whole", *options, command=command)
    cuts = cut(monkeypatch, 1, 9 if exposure.stat().st_size < 1e7 else 700)
    ours = calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS, *options, command=command)
    assert_identical(ours, whole)
    assert max(n for _, n in cuts) > 1


def test_windows_of_persistence_are_saved(exposure_of, tmp_path, monkeypatch):
    exposure = exposure_of("nircam")
    for name in ("whole", "blocks"):
        (tmp_path / name).mkdir()
        more = [ANY_BLOCKS] if name == "blocks" else []
        if more:
            cut(monkeypatch, 1, 9)
        file = f"--steps.persistence.save_persistence={tmp_path / name}/windows.asdf"
        calibrate(exposure, tmp_path / name, *more, *WINDOWS, file)
    assert_identical(tmp_path / "blocks", tmp_path / "whole")
