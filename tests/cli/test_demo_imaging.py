"""``jwgpu demo --imaging``: the whole chain, and what it says of it."""

from __future__ import annotations

import re

import numpy as np
from astropy.io import fits

from jwgpu.cli import demo_imaging, main, picture_imaging


def test_the_whole_chain(tmp_path, capsys):
    words = ["--subarray", "SUB160", "--ngroups", "5", "--output-dir", str(tmp_path)]
    assert main(["demo", "--imaging", *words]) == 0
    said = capsys.readouterr().out
    assert "NIRCAM NRCA1 SUB160, 4 exposures of 5 groups" in said
    found, stars, others = map(int, re.search(r"(\d+) of (\d+) found, (\d+)", said).groups())
    assert found == stars >= 9
    assert others == 0
    products = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert {"mosaic_i2d.fits", "mosaic_cat.ecsv", "mosaic_segm.fits"} < products
    assert fits.getval(tmp_path / "mosaic_i2d.fits", "NDRIZ") == 4
    assert (tmp_path / "demo-imaging.png").read_bytes()[:4] == b"\x89PNG"


def test_a_command_that_fails_ends_the_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo_imaging, "run", lambda *_: demo_imaging.fail("image2"))
    words = ["--subarray", "SUB64P", "--detector", "NRCB1", "--ngroups", "2"]
    assert main(["demo", "--imaging", "--output-dir", str(tmp_path), *words]) == 1
    assert "jwgpu image2 failed" in capsys.readouterr().err


def test_pairs_are_the_nearest_within_reach():
    stars = np.array([[10.0, 10.0], [20.0, 20.0], [30.0, 30.0]])
    sources = np.array([[20.1, 19.9], [10.0, 13.0], [30.0, 31.0]])
    star, source = demo_imaging.pairs(stars, sources)
    assert star.tolist() == [1, 2]
    assert source.tolist() == [0, 2]
    assert not len(demo_imaging.pairs(stars, np.zeros((0, 2)))[0])


def test_a_picture_without_sources(tmp_path):
    image = np.random.default_rng(1).normal(1, 0.1, (20, 30))
    nothing = np.full(3, np.nan)
    places = np.array([5.0, 10.0, 15.0])
    found = demo_imaging.Found(
        mosaic=image,
        raw=image,
        x=places,
        y=places,
        dx=nothing,
        dy=nothing,
        flux=nothing,
        janskys=places,
        others=np.zeros((0, 2)),
    )
    picture_imaging.draw(found, "nothing", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10000
