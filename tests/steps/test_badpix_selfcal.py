"""badpix_selfcal against the official step, and against what was put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import array_api_strict as strict
import numpy as np
import offline  # noqa: F401  before anything of jwst
import pytest
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.errors import InputError, ParameterError
from jwgpu.models.flags import DO_NOT_USE, OTHER_BAD_PIXEL
from jwgpu.steps.badpix_selfcal import BadpixSelfcalStep, least_of

BAD = DO_NOT_USE | OTHER_BAD_PIXEL
SHAPE = (64, 72)
WARM = [(10, 20), (30, 31), (50, 5)]
COLD = [(5, 60), (63, 71)]


def rates(seed: int = 0, shape: tuple[int, int] = SHAPE, detector: str = "NRS1") -> Any:
    """Return count rates with the same warm and cold pixels for every seed."""
    random = np.random.default_rng(seed)
    data = random.normal(3.0, 1.0, shape) + np.linspace(0, 20, shape[0])[:, None]
    for y, x in WARM:
        data[y, x] += 30.0
    for y, x in COLD:
        data[y, x] -= 30.0
    data[random.random(shape) < 0.01] = np.nan
    is_mrs = detector.startswith("MIRIFU")
    model = (datamodels.IFUImageModel if is_mrs else datamodels.ImageModel)(
        data=data.astype(np.float32)
    )
    model.dq = random.choice(np.array([0, 0, 0, 1, 4], np.uint32), shape)
    model.err = np.abs(data).astype(np.float32)
    model.var_rnoise = np.ones(shape, np.float32)
    model.meta.instrument.name = "MIRI" if is_mrs else "NIRSPEC"
    model.meta.instrument.detector = detector
    model.meta.exposure.type = "MIR_MRS" if is_mrs else "NRS_FIXEDSLIT"
    model.meta.observation.date, model.meta.observation.time = "2023-01-01", "00:00:00"
    model.meta.filename = f"jw{seed}_rate.fits"
    return model


def both(*arguments: Any, **parameters: Any) -> tuple[Any, Any]:
    """Run our step and the official one."""
    from jwst.badpix_selfcal import BadpixSelfcalStep as OfficialStep

    results = []
    for step_class in (BadpixSelfcalStep, OfficialStep):
        step = step_class()
        for name, value in parameters.items():
            setattr(step, name, value)
        results.append(step.run(*arguments))
    return results[0], results[1]


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    assert ours.meta.cal_step.badpix_selfcal == theirs.meta.cal_step.badpix_selfcal
    np.testing.assert_array_equal(ours.dq, theirs.dq)
    assert ours.dq.dtype == theirs.dq.dtype
    for name in ("data", "err", "var_poisson", "var_rnoise", "var_flat"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine is None) == (other is None), name
        if mine is not None:
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("dispersion", [None, 1, 2])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"flagfrac_lower": 0.0123, "flagfrac_upper": 0.0},
        {"flagfrac_lower": 0.5, "flagfrac_upper": 0.07, "kernel_size": 5},
        {"kernel_size": 1},
    ],
)
def test_flags_what_the_official_step_flags(dispersion, parameters):
    science, backgrounds, others = rates(1), [rates(2), rates(3)], [rates(4)]
    science.meta.wcsinfo.dispersion_direction = dispersion
    science.var_flat = np.ones(SHAPE, np.float32)
    (ours, our_backgrounds), (theirs, their_backgrounds) = both(
        science, others, backgrounds, **parameters
    )
    assert_same(ours, theirs)
    assert len(our_backgrounds) == len(their_backgrounds) == 2
    for mine, other in zip(our_backgrounds, their_backgrounds, strict=True):
        assert_same(mine, other)
    if parameters.get("kernel_size") != 1:
        assert np.any(ours.dq & OTHER_BAD_PIXEL)
    assert not np.any(science.dq & OTHER_BAD_PIXEL)
    assert not np.any(backgrounds[0].dq & OTHER_BAD_PIXEL)


@pytest.mark.parametrize("detector", ["MIRIFUSHORT", "MIRIFULONG"])
def test_subtracts_the_dark_between_the_channels_of_mrs(detector):
    exposures = [rates(seed, (1024, 1032), detector) for seed in range(2)]
    exposures[1].data += 7.0  # more dark: without the subtraction it would never be the least
    for exposure in exposures:
        exposure.meta.wcsinfo.dispersion_direction = 2
    (ours, _), (theirs, _) = both(exposures[0], [exposures[1]])
    assert_same(ours, theirs)
    assert all(ours.dq[place] & BAD == BAD for place in WARM + COLD)
    assert np.mean(ours.dq & OTHER_BAD_PIXEL > 0) == pytest.approx(0.002, rel=0.05)


def test_an_image_without_the_part_between_the_channels_is_not_flagged():
    (ours, _), (theirs, _) = both(rates(0, detector="MIRIFULONG"), [rates(1)])
    assert_same(ours, theirs)
    assert not np.any(ours.dq & OTHER_BAD_PIXEL)


def test_nothing_is_flagged_where_all_is_nan():
    science = rates()
    science.data[:] = np.nan
    (ours, _), (theirs, _) = both(science, force_single=True)
    assert_same(ours, theirs)


def test_a_science_exposure_alone_is_skipped_or_forced():
    (ours, backgrounds), (theirs, _) = both(rates())
    assert ours.meta.cal_step.badpix_selfcal == "SKIPPED"
    assert backgrounds == []
    assert_same(ours, theirs)
    (ours, _), (theirs, _) = both(rates(), force_single=True)
    assert ours.meta.cal_step.badpix_selfcal == "COMPLETE"
    assert_same(ours, theirs)


def test_finds_the_pixels_that_are_bad_and_keeps_the_lines_of_the_source():
    science = rates(1)
    line = (slice(None), 40)
    science.data[20:24, 40] += 500.0  # an emission line, in the science exposure only
    step = BadpixSelfcalStep()
    result, _ = step.run(science, [rates(seed) for seed in range(2, 6)])
    assert all(result.dq[place] & BAD == BAD for place in WARM + COLD)
    assert not np.any(result.dq[line][20:24] & OTHER_BAD_PIXEL)
    assert np.isnan(result.err[WARM[0]])


@pytest.fixture(scope="module")
def association(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asn")
    kinds = ["selfcal", "science", "background", "background"]
    members = []
    for seed, kind in enumerate(kinds):
        rates(seed).save(folder / f"jw{seed}_rate.fits")
        members.append({"expname": f"jw{seed}_rate.fits", "exptype": kind})
    path = folder / "jw_spec2_asn.json"
    path.write_text(json.dumps({"asn_pool": "pool.csv", "products": [{"members": members}]}))
    return path


def test_products_of_an_association_are_the_official_ones(association, tmp_path, monkeypatch):
    from jwst.badpix_selfcal import BadpixSelfcalStep as OfficialStep

    monkeypatch.chdir(association.parent)
    words = [str(association), "--save_flagged_bkg=true", "--output_dir", str(tmp_path / "ours")]
    assert main(["badpix_selfcal", "--disable-crds-steppars", *words]) == 0
    step = OfficialStep()
    step.save_flagged_bkg, step.save_results = True, True
    step.output_dir = str(tmp_path / "theirs")
    step.suffix = "badpixselfcalstep"
    step.run(str(association))
    names = [path.name for path in sorted((tmp_path / "ours").iterdir())]
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == names
    assert len(names) == 3
    for name in names:
        assert_same_product(tmp_path / "ours" / name, tmp_path / "theirs" / name)


def test_models_with_their_kind_are_an_association():
    models = [rates(seed) for seed in range(3)]
    for model, kind in zip(models, ["background", "science", "selfcal"], strict=True):
        model.meta.asn.exptype = kind
    (ours, our_backgrounds), (theirs, their_backgrounds) = both(models)
    assert_same(ours, theirs)
    assert_same(our_backgrounds[0], their_backgrounds[0])
    assert not np.any(models[1].dq & OTHER_BAD_PIXEL)


def test_refuses_what_it_cannot_take(tmp_path):
    step = BadpixSelfcalStep()
    step.force_single = True
    cube = datamodels.CubeModel((2, 4, 4))
    with pytest.raises(InputError, match="CubeModel"):
        step.run(cube)
    with pytest.raises(InputError, match="no such file"):
        step.run(rates(), [str(tmp_path / "nothing_rate.fits")])
    two = [rates(0), rates(1)]
    for model in two:
        model.meta.asn.exptype = "science"
    with pytest.raises(InputError, match="2 science exposures"):
        step.run(two)


def test_an_even_kernel_is_one_line_where_officially_arrays_do_not_fit():
    from jwst.badpix_selfcal import BadpixSelfcalStep as OfficialStep

    for step_class, error, message in (
        (BadpixSelfcalStep, ParameterError, "must be odd"),
        (OfficialStep, ValueError, "broadcast"),
    ):
        step = step_class()
        step.force_single, step.kernel_size = True, 4
        with pytest.raises(error, match=message):
            step.run(rates())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no association"),
        ('{"products": [{"members": []}]}', "no members"),
        (
            '{"products": [{"members": [{"expname": "x_cat.ecsv", "exptype": "sourcecat"}]}]}',
            "0 science exposures",
        ),
        ('{"products": [{"members": [{"expname": "x_rate.fits"}]}]}', "exptype"),
    ],
)
def test_a_broken_association_is_one_line(tmp_path, capsys, text, message):
    path = tmp_path / "jw_asn.json"
    path.write_text(text)
    assert main(["badpix_selfcal", "--disable-crds-steppars", str(path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "jw_asn.json" in error
    assert message in error


def test_gives_the_same_on_arrays_that_are_not_numpy():
    images = [rates(seed).data for seed in range(3)]
    elsewhere = [strict.asarray(image, device=strict.Device("device1")) for image in images]
    step = BadpixSelfcalStep()
    dark = (slice(3, 40), slice(5, 9))
    here = step.find_bad_pixels(least_of(images, dark), None)
    there = step.find_bad_pixels(least_of(elsewhere, dark), None)
    there = np.asarray(there.to_device(strict.Device("CPU_DEVICE")))
    np.testing.assert_array_equal(here, there)
    assert here.any()
