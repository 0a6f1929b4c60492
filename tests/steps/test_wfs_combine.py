"""Pairs of dithered images: parity with the official step, truth, and what is refused."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from image_exposures import Field, field_of
from offline import answering
from products import assert_same_product
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.errors import InputError
from jwgpu.models.images import Image
from jwgpu.simulate.images import Pointing, geometry, light, pixels_of, write_rate
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.wfs_alignment import filled
from jwgpu.steps.wfs_combine import WfsCombineStep, mean_of_pair

NAME = "jw09999-a3001_t001_nircam_f212n_nrca1_{suffix}-01"


def _field() -> Field:
    return field_of("NIRCAM", "NRCA1", "SUB160")


def pixels(dither: Pointing) -> np.ndarray:
    """Return how far a star is moved by a dither, in pixels."""
    settings = _field().settings
    sky = geometry(settings, Pointing())(80, 80)
    return np.array(pixels_of(geometry(settings, dither), *sky)) - 80


@cache
def dither_of(x: float, y: float) -> tuple[float, float]:
    """Return the offset of the telescope that moves stars by some pixels."""
    unit = np.array([pixels(Pointing(x=0.1)), pixels(Pointing(y=0.1))]).T * 10
    found = np.linalg.solve(unit, [x, y])
    return float(found[0]), float(found[1])


def pair(folder: Path, *moves: tuple[float, float], noise: bool = True) -> list[str]:
    """Write two images with their geometry, the second one's stars moved by some pixels."""
    field = _field()
    names = []
    for number, move in enumerate(moves, start=1):
        x, y = dither_of(*move)
        pointing = Pointing(x=x, y=y, number=number)
        rate = write_rate(folder / "rates", field.settings, field.stars, pointing, noise=noise)
        model = AssignWcsStep(references=field.folder).run(str(rate))
        random = np.random.default_rng(number)
        bad = random.random(model.dq.shape) < 0.05
        model.dq[bad] |= 1
        model.dq[random.random(model.dq.shape) < 0.05] |= 4  # which does not make a pixel bad
        model.data[random.random(model.dq.shape) < 0.01] = np.nan  # good, says its flag
        names.append(rate.name.replace("_rate", "_cal"))
        model.save(str(folder / names[-1]))
    return names


def association(folder: Path, *products: tuple[str, list[str]]) -> Path:
    content = {"asn_type": "wfs-image3", "asn_rule": "Asn_Lv3WFSCMB", "asn_pool": "a_pool"}
    content |= {"asn_id": "a3001", "program": "99999", "target": "none"}
    content["products"] = [
        {"name": name, "members": [{"expname": m, "exptype": "science"} for m in members]}
        for name, members in products
    ]
    path = folder / "jw09999_wfs-image3_asn.json"
    path.write_text(json.dumps(content))
    return path


def official(path: Path, monkeypatch: pytest.MonkeyPatch, **parameters: Any) -> Path:
    """Run the official step, which writes where it runs."""
    from jwst.wfs_combine import WfsCombineStep as Official

    folder = path.parent / "theirs"
    folder.mkdir()
    for file in path.parent.glob("*.*"):
        (folder / file.name).symlink_to(file)
    monkeypatch.chdir(folder)
    step = Official()
    step.save_results = True
    for name, value in parameters.items():
        assert hasattr(step, name)
        setattr(step, name, value)
    with answering({}):
        step.run(path.name)
    return folder


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"do_refine": True, "psf_size": 25},
        {"do_refine": True, "psf_size": 30, "blur_size": 6, "n_size": 1, "flip_dithers": False},
    ],
    ids=str,
)
def test_products_are_the_official_ones(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = pair(tmp_path, (0, 0), (-7.4, 4.3))
    path = association(tmp_path, (NAME, names), ("turned", names[::-1]))
    theirs = official(path, monkeypatch, **parameters)
    options = [f"--{name}={value}" for name, value in parameters.items()]
    ours = tmp_path / "ours"
    assert main(["wfs_combine", str(path), f"--output-dir={ours}", *options]) == 0
    first = NAME.format(suffix="wfscmb") + ".fits"
    assert sorted(file.name for file in ours.iterdir()) == [first, "turned_wfscmb.fits"]
    for our, their in ((first, first), ("turned_wfscmb.fits", "turned.fits")):
        assert_same_product(ours / our, theirs / their, quirks=frozenset({"FILENAME"}))
        for extension in ("SCI", "ERR", "DQ"):
            pixels_of_both = (fits.getdata(at, extension) for at in (ours / our, theirs / their))
            np.testing.assert_array_equal(*pixels_of_both)
    header = fits.getheader(ours / first)
    assert header["S_WFSCOM"] == "COMPLETE"
    assert header["ASNTABLE"] == path.name
    with datamodels.open(str(ours / first)) as model:
        assert model.meta.filename == first


@pytest.mark.parametrize(("move", "refine"), [((6, -3), False), ((-5, 2), True)])
def test_the_stars_are_where_those_of_the_first_image_are(
    move: tuple[int, int], refine: bool, tmp_path: Path
) -> None:
    """A dither of whole pixels: nothing is lost but at the borders."""
    field = _field()
    path = association(tmp_path, ("pair", pair(tmp_path, (0, 0), move, noise=False)))
    (combined,) = WfsCombineStep.call(str(path), do_refine=refine, psf_size=40)
    x, y = dither_of(*move) if move[0] < 0 else (0.0, 0.0)
    expected = light(field.settings, field.stars, Pointing(x=x, y=y))
    inside = (slice(12, -12),) * 2
    good = (combined.dq[inside] & 1) == 0
    # A NaN that is not flagged is 0; over the field, the distortion moves stars by 0.01 pixels, by
    # which their feet change by 3 %.
    known = good & (np.abs(combined.data[inside] / expected[inside] - 1) < 0.4)
    assert known.mean() > 0.95
    np.testing.assert_allclose(combined.data[inside][known], expected[inside][known], rtol=0.05)
    assert (combined.data[inside][~good] == 0).all()
    assert good.mean() > 0.995  # of 5 % bad pixels in each, 0.25 % are bad in both


def images(flags: list[int], more: list[int]) -> tuple[Image, Image]:
    model = SimpleNamespace(meta=SimpleNamespace(filename="x"))
    found = []
    for value, dq in ((2.0, flags), (4.0, more)):
        data = np.full((1, len(dq)), value, np.float32)
        found.append(Image(data, np.array([dq], np.uint32), data / 10, model=model))
    return found[0], found[1]


def combined(first: Image, second: Image, offset: tuple[int, int]) -> Image:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jwgpu.steps.wfs_combine.new_model", lambda first: first)
        return mean_of_pair(first, second, offset)


def test_good_pixels_count() -> None:
    result = combined(*images([0, 4, 1, 3], [2, 1, 8, 5]), (0, 0))
    np.testing.assert_array_equal(result.data, [[3, 2, 4, 0]])
    np.testing.assert_array_equal(result.dq, [[0, 4, 8, 3]])
    np.testing.assert_array_equal(result.err, np.float32([[0.3, 0.2, 0.4, 0]]))


def test_where_the_second_does_not_reach_it_is_good_and_zero() -> None:
    """As officially."""
    first, second = images([0, 0, 0], [0, 0, 0])
    np.testing.assert_array_equal(combined(first, second, (1, 0)).data, [[3, 3, 1]])
    np.testing.assert_array_equal(combined(first, second, (-2, 0)).data, [[1, 1, 3]])


@pytest.mark.parametrize("offset", [(3, 0), (-3, 0), (0, 1), (0, -1)])
def test_images_must_overlap(offset: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="do not overlap"):
        combined(*images([0, 0, 0], [0, 0, 0]), offset)


def test_images_must_have_one_size() -> None:
    with pytest.raises(InputError, match="differ in size"):
        combined(images([0, 0], [0, 0])[0], images([0], [0])[1], (0, 0))


@pytest.mark.parametrize("box", [1, 2, 3])
def test_bad_pixels_are_interpolated_as_officially(box: int) -> None:
    from jwst.wfs_combine.wfs_combine import interp_array

    random = np.random.default_rng(box)
    data = random.normal(0, 100, (31, 40)).astype(np.float32)
    bad = random.random(data.shape) < 0.1
    bad[:, -3:] = bad[:2] = True
    theirs = interp_array(data.copy(), bad.astype(np.uint32), box)
    np.testing.assert_array_equal(filled(data.copy(), bad, box), theirs)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["calwebb_wfs-image3", *words]) == 1
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("jwgpu: error: ")]
    assert "--debug" not in line
    return line


def test_what_is_no_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = pair(tmp_path, (0, 0), (5, 5))
    assert "is no association" in refused(capsys, str(tmp_path / names[0]))
    one = str(association(tmp_path, ("one", names[:1])))
    assert "one has fewer than two science members" in refused(capsys, one)
    rate = next((tmp_path / "rates").iterdir())
    shutil.copy(rate, tmp_path / "a_rate.fits")
    without = str(association(tmp_path, ("one", ["a_rate.fits", names[0]])))
    assert "has no geometry" in refused(capsys, without)
    far = pair(tmp_path, (0, 0), (500, 0))
    assert "do not overlap" in refused(capsys, str(association(tmp_path, ("far", far))))


def test_earlier_products_are_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = pair(tmp_path, (0, 0), (5, 5))
    shutil.copy(tmp_path / names[0], tmp_path / "broken_cal.fits")
    with (tmp_path / "broken_cal.fits").open("r+b") as file:
        file.truncate(60_000)
    path = association(tmp_path, ("good", names), ("bad", [names[0], "broken_cal.fits"]))
    assert "broken_cal.fits" in refused(capsys, str(path), f"--output-dir={tmp_path / 'out'}")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["good_wfscmb.fits"]


def test_refinement_needs_a_star(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(association(tmp_path, ("pair", pair(tmp_path, (0, 0), (5, 5)))))
    for option, words in (("--blur-size=90", "blur_size"), ("--psf-size=2", "psf_size")):
        assert words in refused(capsys, path, "--do-refine=true", option)
