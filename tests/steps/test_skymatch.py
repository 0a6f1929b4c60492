"""skymatch: parity with the official step, levels that are known, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offline import official_step
from sky_mosaics import SIDE, SIZE, lent, sky_image, sky_images
from star_fields import dithers, write_association
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ParameterError
from jwgpu.kernels.sky_statistics import COUNT, HIGHEST, LOWEST, N_MOMENTS, STDDEV, Limits
from jwgpu.models.lent_models import LentModels
from jwgpu.models.library import Library
from jwgpu.models.reading_images import image_of
from jwgpu.steps.sky_levels import Statistic, matched
from jwgpu.steps.skymatch import SkyMatchStep

pytest_plugins = ("official",)

#: Places of images that overlap with some others, in arcsec, and a roll in degrees.
PLACES = [(0, 0), (4, 0.5, 1), (-3, 3.1, -20)]
LEVELS = [7.0, 7.4, 6.6]

#: The mosaics of the documents: 2 by 3, and 2 by 2 with three images elsewhere.
STEP = 0.8 * SIDE
CONNECTED = [(STEP * x, STEP * y) for y in range(2) for x in range(3)]
APART = [(STEP * x, STEP * y) for y in range(2) for x in range(2)] + [
    (90 + STEP * x, 0) for x in range(3)
]
TWO_BY_THREE = [100.0, 120.0, 105.0, 110.0, 105.0, 115.0]
TWO_MOSAICS = [100.0, 120.0, 105.0, 110.0, 95.0, 90.0, 100.0]

METHODS = ("local", "global", "match", "global+match")

OPTIONS = [
    {},
    {"skymethod": "local", "subtract": True},
    {"skymethod": "global+match", "subtract": True},
    {"skymethod": "global+match", "skystat": "mean"},
    {"skymethod": "local", "skystat": "median", "subtract": True},
    {"skymethod": "global+match", "skystat": "median", "subtract": True, "match_down": False},
    {"skymethod": "local", "skystat": "midpt", "subtract": True},
    {"stepsize": 60, "match_down": False},
    {"skystat": "median", "nclip": 0, "lower": 7.0, "upper": 8.0},
    {"lower": 6.5, "upper": 8.0, "lsigma": 2.0, "usigma": 3.0, "binwidth": 0.03, "nclip": 2},
    {"dqbits": "5", "skystat": "midpt", "skymethod": "local"},
    {"lsigma": 0.0},
    {"lower": 9e9, "skymethod": "local"},
]


def levels_of(models):
    return [model.meta.background.level for model in models]


def library_of(models):
    return Library([image_of(model) for model in models])


def measured(library, **parameters):
    """Run the step on a library by itself, and return the levels."""
    SkyMatchStep(**parameters).apply(library)
    found = []
    library.describe(lambda model, _: found.append(model.meta.background.level))
    return found


def assert_same(ours, theirs):
    """Compare levels, keywords and data: to the bit."""
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert our.meta.background.instance == their.meta.background.instance
        assert our.meta.cal_step.skymatch == their.meta.cal_step.skymatch
        assert our.data.dtype == np.float32
        for name in ("data", "dq", "err"):
            np.testing.assert_array_equal(getattr(our, name), getattr(their, name))


@pytest.fixture(scope="module")
def noisy():
    return sky_images(PLACES, LEVELS, noise=0.3)


@pytest.mark.parametrize("parameters", OPTIONS, ids=str)
def test_the_levels_are_the_official_ones(noisy, parameters):
    before = noisy[1].data.copy()
    theirs = lent(official_step("skymatch", noisy, {}, **parameters))
    assert_same(lent(SkyMatchStep(**parameters).run(noisy)), theirs)
    np.testing.assert_array_equal(noisy[1].data, before)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_field_of_stars_from_an_association(tmp_path, in_memory):
    asn = str(write_association(tmp_path, dithers().paths))
    parameters = {"in_memory": in_memory, "dqbits": "None", "subtract": True}
    theirs = lent(official_step("skymatch", asn, {}, **parameters))
    assert min(levels_of(theirs)) == 0
    assert_same(lent(SkyMatchStep(**parameters).run(asn)), theirs)


@pytest.mark.parametrize(
    ("method", "statistic", "subtract"),
    [
        ("match", "mode", False),
        ("match", "median", True),
        ("local", "midpt", True),
        ("global+match", "mean", True),
    ],
)
def test_images_of_one_exposure_have_one_sky(method, statistic, subtract):
    """Two and two detectors, taken together, and an image by itself."""
    models = sky_images([(0, 0), (6, 6), (1, 2), (7, 5), (4, 3, 5)], [7.0, 7.1, 7.4, 7.6, 6], 0.3)
    for model, group in zip(models, [1, 1, 2, 2, 3], strict=True):
        model.meta.observation.exposure_number = str(group)
    parameters = {"skymethod": method, "skystat": statistic, "subtract": subtract}
    theirs = lent(official_step("skymatch", models, {}, **parameters))
    assert_same(lent(SkyMatchStep(**parameters).run(models)), theirs)
    found = levels_of(theirs)
    assert found[0] == found[1]
    assert found[2] == found[3]


def test_a_second_run_begins_with_what_was_subtracted(noisy):
    for subtract, method in ((True, "global+match"), (False, "match")):
        once = SkyMatchStep(subtract=subtract).run(noisy[:2])
        with once:
            models = [model.copy() for model in once]
            for index, model in enumerate(models):
                once.shelve(model, index)
        parameters = {"subtract": subtract, "skymethod": method, "skystat": "mean"}
        theirs = lent(official_step("skymatch", models, {}, **parameters))
        assert_same(lent(SkyMatchStep(**parameters).run(models)), theirs)


# -- truth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "levels", "want"),
    [
        (
            CONNECTED,
            TWO_BY_THREE,
            {
                "local": TWO_BY_THREE,
                "global": [100.0] * 6,
                "match": [0, 20, 5, 10, 5, 15],
                "global+match": TWO_BY_THREE,
            },
        ),
        (
            APART,
            TWO_MOSAICS,
            {
                "local": TWO_MOSAICS,
                "global": [90.0] * 7,
                "match": [0, 20, 5, 10, 8.75, 3.75, 13.75],
                "global+match": [86.25, 106.25, 91.25, 96.25, 95, 90, 100],
            },
        ),
    ],
    ids=["one mosaic", "two mosaics"],
)
def test_the_examples_of_the_documents(places, levels, want):
    library = library_of(sky_images(places, levels))
    for method, expected in want.items():
        found = measured(library, skymethod=method)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)
    up = measured(library, match_down=False)
    np.testing.assert_allclose(np.diff(up), np.diff(want["match"]), atol=1e-4)
    assert max(up) == 0


@pytest.mark.parametrize("statistic", ["mean", "median", "midpt"])
def test_levels_that_are_known_come_back(statistic):
    noise = 0.2
    models = sky_images(PLACES, LEVELS, noise)
    found = lent(SkyMatchStep(skymethod="global+match", skystat=statistic).run(models))
    # Quirk of midpt: its bins are wider than they are taken to be.
    slack = 0.1 * noise if statistic == "midpt" else 5 * noise / SIZE
    np.testing.assert_allclose(levels_of(found), LEVELS, atol=slack)
    subtracted = lent(SkyMatchStep(skymethod="local", skystat="mean", subtract=True).run(models))
    for model, level in zip(subtracted, LEVELS, strict=True):
        assert model.meta.background.subtracted
        good = model.data[(model.dq & 513) == 0]
        assert abs(np.nanmedian(good)) < 5 * noise / SIZE
        assert model.meta.background.level == pytest.approx(level, abs=5 * noise / SIZE)


@settings(max_examples=4)
@given(
    shifts=st.lists(st.floats(-50, 50, width=16), min_size=3, max_size=3),
    order=st.permutations(range(3)),
)
def test_what_is_added_to_an_image_is_found(shifts, order):
    """In whatever order the images come."""
    want = np.array(shifts) - min(shifts)
    models = sky_images(PLACES, shifts)
    found = measured(library_of([models[k] for k in order]), skystat="mean")
    np.testing.assert_allclose(found, want[list(order)], atol=2e-5)


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(0, 2**32))
def test_differences_that_agree_are_met(n, seed):
    random = np.random.default_rng(seed)
    truth = random.normal(0, 3, n)
    weights = random.integers(1, 1000, (n, n))
    weights[random.random((n, n)) < 0.4] = 0
    levels = random.normal(0, 1, (n, n))
    both = np.minimum(weights, weights.T) > 0
    common = levels + levels.T
    found = matched(np.where(both, common + truth[:, None], 7.0), weights)
    overlaps = (both & ~np.eye(n, dtype=bool)).any(axis=1)
    np.testing.assert_array_equal(np.isfinite(found), overlaps)
    for i, j in zip(*np.nonzero(both & ~np.eye(n, dtype=bool)), strict=True):
        assert found[i] - found[j] == pytest.approx(truth[i] - truth[j], abs=1e-7)


def test_the_device_does_not_matter(noisy, cuda):
    for parameters in ({"subtract": True, "skymethod": "global+match"}, {"skystat": "median"}):
        want = lent(SkyMatchStep(device="cpu", nclip=1, **parameters).run(noisy[:2]))
        found = SkyMatchStep(device="cuda", nclip=1, in_memory=False, **parameters).run(noisy[:2])
        assert_same(lent(found), want)
    assert cuda.name.startswith("cuda")


def test_a_gpu_without_room_leaves_it_to_the_cpu(noisy, cuda, monkeypatch, caplog):
    want = lent(SkyMatchStep(device="cpu").run(noisy[:2]))

    def full(*_):
        raise cuda.out_of_memory[0]("no room")

    monkeypatch.setattr("jwgpu.kernels.sky_statistics.cuda.histograms", full)
    step = SkyMatchStep(device="cuda")
    library = step.open(noisy[:2])
    step.apply(library)  # as in a pipeline, which does not begin again
    assert_same(lent(LentModels(library)), want)
    assert "has too little memory (no room): calibrating on the cpu" in caplog.text


# -- levels that are given ------------------------------------------------------------------------


@pytest.mark.parametrize("subtract", [False, True])
def test_given_levels_are_taken(noisy, tmp_path, monkeypatch, subtract):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "levels.txt").write_text(
        "sky2_cal.fits 0.1\n# sky1 9\nsky1_rate 1e-1\n\n sky3.fits   -7 # minus seven"
    )
    parameters = {"skymethod": "user", "skylist": "levels.txt", "subtract": subtract}
    theirs = lent(official_step("skymatch", noisy, {}, **parameters))
    assert levels_of(theirs) == [float(np.float32(0.1)), float(np.float32(0.1)), -7]
    assert_same(lent(SkyMatchStep(**parameters).run(noisy)), theirs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky1 1\nsky2 2", "has 2 levels for 3 images"),
        ("sky1 1\nsky2 2\nother 3", "has 0 levels for sky3_cal.fits"),
        ("sky1 1\nsky2 2\nsky2 3", "has 2 levels for sky2_cal.fits"),
        ("sky1 1\nsky2 two\nsky3 3", "line 2 is not a name and a level: sky2 two"),
        ("sky1 1 2\n", "line 1 is not"),
        ("sky1 nan\n", "line 1 is not"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_does_not_fit(noisy, tmp_path, text, message):
    path = tmp_path / "levels.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        SkyMatchStep(skymethod="user", skylist=str(path)).run(noisy)


# -- bad input ------------------------------------------------------------------------------------


def test_images_that_do_not_overlap(noisy):
    """They have no level; with one they have none in common, but one that is the lowest."""
    models = [*noisy[:2], sky_image(9, (300, 0), 8.0, 0.3)]
    for method in ("match", "global+match"):
        parameters = {"skymethod": method}
        theirs = lent(official_step("skymatch", models, {}, **parameters))
        assert_same(lent(SkyMatchStep(**parameters).run(models)), theirs)
    alone = lent(SkyMatchStep().run([noisy[0], models[2]]))
    assert [model.meta.cal_step.skymatch for model in alone] == ["SKIPPED"] * 2
    assert levels_of(alone) == [None, None]
    assert_same(lent(SkyMatchStep().run(noisy[:1])), lent(official_step("skymatch", noisy[:1], {})))


def test_images_without_a_good_pixel(noisy):
    """Officially the lowest of levels cannot be found where the second one is missing."""
    blank = noisy[1].copy()
    blank.dq[:] = 1
    found = lent(SkyMatchStep(skymethod="local").run([noisy[0], blank]))
    assert [model.meta.cal_step.skymatch for model in found] == ["COMPLETE", "SKIPPED"]
    found = lent(SkyMatchStep(skymethod="global").run([noisy[0], blank]))
    assert levels_of(found)[0] == levels_of(found)[1] is not None
    found = lent(SkyMatchStep(skymethod="global").run([blank]))
    assert [model.meta.cal_step.skymatch for model in found] == ["SKIPPED"]


def without_geometry(model):
    del model.meta.wcs


def nowhere(model):
    from astropy.modeling.models import Const1D

    transform = Const1D(np.nan) & Const1D(np.nan)
    wcs = model.meta.wcs
    wcs.set_transform("v2v3vacorr", "world", transform)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_geometry, "has no geometry; run assign_wcs first"),
        (nowhere, "no place on the sky"),
        (lambda model: setattr(model.meta.background, "level", 3.0), "one of BKGLEVEL and BKGSUB"),
        (lambda model: setattr(model.meta.background, "subtracted", False), "one of BKGLEVEL"),
        (
            lambda model: model.meta.background.instance.update(level=3.0, subtracted=True),
            "its sky was subtracted before .* subtract=True",
        ),
    ],
)
def test_images_that_cannot_be_matched(noisy, change, message):
    model = noisy[0].copy()
    change(model)
    with pytest.raises(InputError, match=rf"sky1_cal.fits: .*{message}"):
        SkyMatchStep().run([model, noisy[1]])


def test_a_series_of_images_is_refused(noisy):
    series = datamodels.CubeModel(np.zeros((2, 4, 4), np.float32))
    series.update(noisy[0])
    with pytest.raises(InputError, match="single images"):
        SkyMatchStep().run([series])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dqbits": "NO_SUCH"}, "dqbits=NO_SUCH: it names no flags"),
        ({"stepsize": 0}, "stepsize=0"),
        ({"skymethod": "user"}, "give skylist=FILE"),
    ],
)
def test_parameters_that_make_no_sense(noisy, parameters, message):
    with pytest.raises(ParameterError, match=message):
        SkyMatchStep(**parameters).run(noisy[:2])


def test_bins_that_are_too_many():
    moments = np.zeros((1, N_MOMENTS))
    moments[0, [COUNT, LOWEST, HIGHEST, STDDEV]] = 100, 0, 1e6, 1
    with pytest.raises(ParameterError, match="that makes 1000000"):
        Statistic("mode", Limits(), 1e-3)._bins(moments[0])


def test_the_parameters_are_the_official_ones():
    from jwst.skymatch import SkyMatchStep as Official

    theirs, ours = Official(), SkyMatchStep()
    names = [line.split("=")[0].strip() for line in Official.spec.splitlines() if "= " in line]
    assert len(names) == 14
    for name in names:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert isinstance(ours._chosen_statistic(), Statistic)
