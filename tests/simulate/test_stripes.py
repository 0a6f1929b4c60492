"""Simulated readouts in stripes show the lines of the detector that their keywords say."""

from __future__ import annotations

import numpy as np
import pytest

from jwgpu.errors import ParameterError
from jwgpu.simulate import Settings, make_dataset, simulate_exposure
from jwgpu.simulate.detector_maps import detector_maps
from jwgpu.simulate.stripes import whole_window

SOSS = {
    "instrument": "NIRISS",
    "subarray": "SUB204STRIPE_SOSS",
    "window": (2048, 1793, 36, 16),
    "stripes": (4, 0, 32, 0, 1, 1, 32, 4),
    "ngroups": 2,
    "nints": 2,
}

QUIET = {
    **dict.fromkeys(("read_noise", "ktc_noise", "flicker_noise", "drift", "odd_even"), 0.0),
    **{"shot_noise": False, "bad_pixels": False, "cosmic_rays": 0.0, "nonlinearity": 0.0},
    **{"ipc": 0.0, "sky": 0.0, "n_stars": 0, "dark": 0.0},
}


def test_an_image_has_the_pixels_of_its_lines() -> None:
    settings = Settings(
        detector="NRCA3",
        subarray="SUB41STRIPE1_DHS",
        window=(1, 1, 64, 9),
        stripes=(1, 10, 4, 6, 0, 0, 0, 0),
        ngroups=2,
        **QUIET,
    )
    rows = [0, 11, 12, 13, 14, 21, 22, 23, 24]
    whole = detector_maps(settings, whole_window(settings.place))
    assert settings.place.shape == (9, 64)
    np.testing.assert_array_equal(detector_maps(settings).gain, whole.gain[rows])
    # Without light, a pixel shows its bias.
    data = simulate_exposure(settings).data
    np.testing.assert_allclose(data[0, 1], whole.superbias[rows], atol=0.51)


def test_superstripes_take_turns_and_see_the_same_sky() -> None:
    quiet = {**QUIET, "n_stars": 5, "sky": 0.2}
    simulation = simulate_exposure(Settings(seed=3, **SOSS, **quiet))
    assert simulation.data.shape == (8, 2, 16, 36) and simulation.settings.nints == 8
    assert simulation.truth.rate.shape == (16, 2048)
    maps = detector_maps(simulation.settings, whole_window(simulation.settings.place))
    lines = simulation.settings.place.readout.lines
    seconds = simulation.settings.group_time
    for image, data in enumerate(simulation.data):
        columns = lines[image % 4]
        signal = (data[1].astype(float) - data[0]) / seconds
        expected = simulation.truth.rate[:, columns]
        faint = (expected * 2 * seconds < 20000) & (maps.well[:, columns] > 40000)
        np.testing.assert_allclose(signal[faint], expected[faint], atol=1.1 / seconds)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"window": None}, "stripes need a window"),
        ({"stripes": (4, 0, 31, 0, 1, 1, 32, 4)}, "do not make up an image"),
        ({"stripes": (4, 0, 32, 0, 1, 1, 900, 4)}, "beyond the detector"),
        ({"instrument": "MIRI"}, "MIRI is not read in stripes"),
    ],
)
def test_what_cannot_be(change: dict[str, object], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        Settings(**{**SOSS, **change})


def test_references_are_of_all_lines_but_the_dark(tmp_path) -> None:
    from astropy.io import fits

    data = make_dataset(tmp_path, **{**SOSS, "window": (2048, 1793, 12, 8)}
                        | {"stripes": (4, 0, 8, 0, 1, 1, 8, 2), "subarray": "SUB64"})  # fmt: skip
    header = fits.getheader(data.exposure)
    assert header["MSTR_RD1"] == 4 and header["SSTR_NST"] == 2 and header["NINTS"] == 4
    # Both stripes together are columns 2029 to 2044.
    for reftype, columns in (("mask", (1, 2048)), ("gain", (1, 2048)), ("dark", (2029, 16))):
        header = fits.getheader(data.references[reftype])
        assert (header["SUBSTRT1"], header["SUBSIZE1"]) == columns
