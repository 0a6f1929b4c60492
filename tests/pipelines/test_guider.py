"""The guider's pipeline, as a user runs it, against the official one on the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from offline import answering
from products import assert_same_product

from jwgpu.cli import main
from jwgpu.simulate.guider import MODES, make_guider_dataset

WINDOWS = {"FGS_ID-IMAGE": (5, 13, 48, 40), "FGS_ID-STACK": (5, 13, 48, 45)}


def simulated(folder: Path, mode: str) -> Any:
    nints = 2 if "ID-" in mode else 9
    window = WINDOWS.get(mode, (1009, 1009, 16, 12))
    return make_guider_dataset(folder, mode, seed=6, window=window, nints=nints)


def official(data: Any, folder: Path) -> Path:
    from jwst.pipeline import GuiderPipeline

    folder.mkdir()
    pipeline = GuiderPipeline()
    pipeline.output_dir, pipeline.save_results = str(folder), True
    with answering(data.references):
        pipeline.run(str(data.exposure))
    (product,) = folder.iterdir()
    return product


def calibrate(data: Any, folder: Path, *options: str, command: str = "guider") -> int:
    references = str(data.exposure.parent / "references")
    arguments = [str(data.exposure), "--references", references, "--output-dir", str(folder)]
    return main([command, *arguments, *options])


@pytest.mark.parametrize("mode", MODES)
def test_products_are_the_official_ones(mode: str, tmp_path: Path) -> None:
    data = simulated(tmp_path, mode)
    theirs = official(data, tmp_path / "theirs")
    assert calibrate(data, tmp_path / "ours", command="calwebb_guider") == 0
    (ours,) = (tmp_path / "ours").iterdir()
    assert ours.name == theirs.name
    assert_same_product(ours, theirs)
    # A flat field is smaller than the strips that are butted together.
    is_divided = fits.getval(ours, "S_FLAT") == "COMPLETE"
    assert is_divided == (mode != "FGS_ID-STACK")


def test_count_rates_can_be_divided_by_the_flat_field_alone(tmp_path: Path) -> None:
    data = simulated(tmp_path, "FGS_TRACK")
    assert calibrate(data, tmp_path / "rates", "--steps.flat_field.skip=true") == 0
    (rates,) = (tmp_path / "rates").iterdir()
    words = ["--steps.dq_init.skip=true", "--steps.guider_cds.skip=true"]
    references = str(tmp_path / "references")
    again = [str(rates), "--references", references, "--output-dir", str(tmp_path / "again")]
    assert main(["guider", *again, *words]) == 0
    assert calibrate(data, tmp_path / "once") == 0
    (ours,), (once,) = (tmp_path / "again").iterdir(), (tmp_path / "once").iterdir()
    # What was skipped the second time says so; officially too.
    skipped = frozenset({"S_DQINIT", "S_GUICDS", "R_MASK", "R_GAIN", "R_READNO"})
    assert_same_product(ours, once, quirks=skipped)


def test_an_intermediate_product_is_saved_when_asked_for(tmp_path: Path) -> None:
    data = simulated(tmp_path, "FGS_ACQ1")
    assert calibrate(data, tmp_path / "ours", "--steps.guider_cds.save_results=true") == 0
    assert calibrate(data, tmp_path / "plain") == 0
    (product,) = (tmp_path / "ours").glob("*_cal.fits")
    (plain,) = (tmp_path / "plain").iterdir()
    assert len(list((tmp_path / "ours").glob("*_guider_cds.fits"))) == 1
    assert_same_product(product, plain)


def test_a_science_exposure_is_refused_and_told_where_to_go(tmp_path: Path, capsys: Any) -> None:
    from jwgpu.simulate import make_dataset

    data = make_dataset(tmp_path, instrument="FGS", window=(1, 1, 32, 32), ngroups=2)
    assert calibrate(data, tmp_path / "ours") == 1
    assert "jwgpu detector1" in capsys.readouterr().err


def test_detector1_refuses_with_its_own_status(tmp_path: Path, capsys: Any) -> None:
    data = simulated(tmp_path, "FGS_TRACK")
    assert calibrate(data, tmp_path / "ours", command="detector1") == 64
    assert "jwgpu guider" in capsys.readouterr().err
