"""Readouts in stripes through the whole of stage 1, against the official pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_official import assert_same_files, calibrate, product
from astropy.io import fits

from jwgpu.cli import main

pytest_plugins = ("official",)

#: One image of several places of the detector, smaller than real ones.
MULTISTRIPE: dict[str, dict[str, Any]] = {
    "one stripe": {
        "detector": "NRCA3",
        "subarray": "SUB41STRIPE1_DHS",
        "window": (1, 1, 128, 42),
        "stripes": (1, 700, 41, 0, 0, 0, 0, 0),
    },
    "four stripes": {
        "detector": "NRCB2",
        "subarray": "SUB164STRIPE4_DHS",
        "window": (901, 1, 200, 44),
        "stripes": (4, 1000, 10, 60, 0, 0, 0, 0),
        "readpatt": "BRIGHT2",
    },
    "reference pixels between": {
        "detector": "NRCB1",
        "subarray": "SUB164STRIPE4_DHS",
        "window": (1, 2048, 160, 44),
        "stripes": (1, 900, 10, 60, 1, 1, 0, 0),
        "zero_frame": True,
    },
    "read twice": {
        "detector": "NRCA3",
        "subarray": "SUB82STRIPE2_DHS",
        "window": (1, 1, 96, 42),
        "stripes": (1, 700, 20, 0, 1, 0, 0, 0),
    },
}

#: Several images that make up one.
SUPERSTRIPE: dict[str, dict[str, Any]] = {
    "SOSS": {
        "instrument": "NIRISS",
        "subarray": "SUB204STRIPE_SOSS",
        "window": (2048, 1793, 36, 32),
        "stripes": (4, 0, 32, 0, 1, 1, 32, 4),
        "exp_type": "NIS_SOSS",
    },
    "SUB64P": {
        "detector": "NRCB1",
        "subarray": "SUB64P_SUPSTP008",
        "window": (1851, 2046, 64, 9),
        "stripes": (1, 165, 8, 0, 1, 0, 8, 3),
        "zero_frame": True,
    },
    "averages": {
        "detector": "NRCB2",
        "subarray": "SUB64P_SUPSTP008",
        "window": (1, 1, 64, 12),
        "stripes": (4, 20, 8, 0, 1, 0, 8, 3),
        "readpatt": "BRIGHT2",
    },
    "stripes without end": {
        "detector": "NRCB4",
        "subarray": "FULL_SUPSTP024P",
        "window": (1, 1, 200, 20),
        "stripes": (4, 0, 0, 0, 0, 0, 16, 3),
    },
    "read twice": {
        "detector": "NRCB1",
        "subarray": "SUB64P_SUPSTP008",
        "window": (1851, 2046, 64, 18),
        "stripes": (1, 165, 8, 0, 1, 0, 8, 3),
        "zero_frame": True,
        "cosmic_rays": 0.0,
    },
}


#: The official step ends for stripes along a mirrored axis; ours skips them.
WITHOUT_IPC = {"ipc": {"skip": True}}


def simulate(official, settings):
    return official.dataset(seed=3, ngroups=5, nints=2, **settings)


def assert_official(official, folder, exposure, data, steps=None):
    """Compare all products of both packages, the calibrated ramp and that of saturation too."""
    steps = {**(steps or {}), "saturation": {"save_results": True}}
    theirs = official.detector1(exposure, data.references, steps, save_calibrated_ramp=True)
    references = data.exposure.parent / "references"
    ours = calibrate(exposure, references, folder, steps, "--save-calibrated-ramp=true")
    # Frames are short: a last bit of a sample is much as a rate, and as its variance.
    assert_same_files(ours, theirs, VAR_POISSON=2e-4)
    return ours


@pytest.mark.parametrize("case", MULTISTRIPE)
def test_products_of_multistripe_exposures_are_the_official_ones(official, tmp_path, case):
    steps = WITHOUT_IPC if case == "reference pixels between" else None
    data = simulate(official, MULTISTRIPE[case])
    assert_official(official, tmp_path, data.exposure, data, steps)


@pytest.mark.parametrize("case", SUPERSTRIPE)
def test_products_of_superstripe_exposures_are_the_official_ones(official, tmp_path, case):
    data = simulate(official, SUPERSTRIPE[case])
    ours = assert_official(official, tmp_path, data.exposure, data, WITHOUT_IPC)
    settings = SUPERSTRIPE[case]
    with fits.open(product(ours, "rateints")) as rates:
        n_stripes = settings["stripes"][-1]
        assert rates["SCI"].data.shape == (2, *data.truth.rate.shape)
        assert len(rates["INT_TIMES_STRIPE"].data) == 2 * n_stripes
        assert rates[0].header["NINTS"] == 2 and "SSTR_NST" not in rates[0].header


def test_a_segment_of_superstripes(official, tmp_path):
    data = simulate(official, SUPERSTRIPE["SUB64P"])
    exposure = tmp_path / data.exposure.name
    with fits.open(data.exposure) as file:
        for name in ("SCI", "ZEROFRAME", "INT_TIMES"):
            file[name].data = file[name].data[3:]
        file[0].header["INTSTART"], file[0].header["INTEND"] = 4, 6
        file[0].header["EXSEGNUM"], file[0].header["EXSEGTOT"] = 2, 2
        file.writeto(exposure)
    ours = assert_official(official, tmp_path / "ours", exposure, data, WITHOUT_IPC)
    with fits.open(product(ours, "rateints")) as rates:
        assert rates[0].header["INTSTART"] == rates[0].header["INTEND"] == 2
        assert list(rates["INT_TIMES"].data["integration_number"]) == [2]


@pytest.mark.parametrize("alias", ["saturation", "superbias", "refpix"])
def test_single_steps_take_superstripes(official, tmp_path, alias):
    data = simulate(official, SUPERSTRIPE["SOSS"])
    folder = data.exposure.parent / "references"
    given = data.exposure
    for before, suffix in (("dq_init", "dqinitstep"), ("saturation", "saturationstep")):
        if before != alias and (alias != "saturation" or before == "dq_init"):
            assert main([before, str(given), "--references", str(folder),
                         "--output-dir", str(tmp_path)]) == 0  # fmt: skip
            given = product(tmp_path, suffix)
    theirs = official.step(alias, str(given), data.references)
    assert (
        main([alias, str(given), "--references", str(folder), "--output-dir", str(tmp_path)]) == 0
    )
    name = {"superbias": "superbiasstep", "refpix": "refpixstep"}.get(alias, f"{alias}step")
    theirs.save(str(tmp_path / "theirs.fits"))
    with (
        fits.open(product(tmp_path, name)) as ours,
        fits.open(tmp_path / "theirs.fits") as expected,
    ):
        assert ours[0].header["DATAMODL"] == expected[0].header["DATAMODL"]
        for extension in ("SCI", "PIXELDQ", "GROUPDQ"):
            np.testing.assert_allclose(ours[extension].data, expected[extension].data, atol=1e-3)


def test_what_superstripes_cannot_do(official, tmp_path, capsys):
    data = simulate(official, SUPERSTRIPE["SOSS"])
    command = ["detector1", str(data.exposure), "--output-dir", str(tmp_path)]
    command += ["--references", str(data.exposure.parent / "references")]
    assert main([*command, "--steps.refpix.skip=true"]) != 0
    assert "refpix puts together: linearity needs it" in capsys.readouterr().err
    # The official step ends; ours says why it does nothing.
    assert main(command) == 0
    with fits.open(product(tmp_path, "rate")) as rate:
        assert rate[0].header["S_IPC"] == "SKIPPED"


@pytest.mark.parametrize(
    "keyword, value, told",
    [
        ("MSTR_RD2", None, "lacks MSTR_RD2"),
        ("MSTR_RD2", 31, "do not make up an image of 36"),
        ("SSTR_STP", 2000, "beyond the detector"),
        ("SSTR_NST", 3, "not whole sets of 3"),
    ],
)
def test_keywords_that_make_no_sense(official, tmp_path, capsys, keyword, value, told):
    data = simulate(official, SUPERSTRIPE["SOSS"])
    exposure = tmp_path / data.exposure.name
    with fits.open(data.exposure) as file:
        header = file[0].header
        header.remove(keyword)
        if value is None:
            del file["ASDF"]  # which says the same
        else:
            header[keyword] = value
        file.writeto(exposure)
    references = str(data.exposure.parent / "references")
    arguments = [str(exposure), "--references", references, "--output-dir", str(tmp_path / "out")]
    assert main(["detector1", *arguments]) != 0
    assert told in capsys.readouterr().err


def test_the_truth_comes_back(official, tmp_path):
    data = simulate(official, SUPERSTRIPE["SUB64P"])
    ours = calibrate(data.exposure, data.exposure.parent / "references", tmp_path)
    with fits.open(product(ours, "rate")) as rate:
        good = (rate["DQ"].data == 0) & (data.truth.rate > 0.0)
        assert good.mean() > 0.7
        pulls = ((rate["SCI"].data - data.truth.rate) / rate["ERR"].data)[good]
    # Light, noise and dark are those of the simulation; coupling of pixels is not corrected.
    assert abs(np.median(pulls)) < 1.0
    assert 1.4826 * np.median(np.abs(pulls - np.median(pulls))) < 2.0
