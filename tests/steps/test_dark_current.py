from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from astropy.io import fits
from jwst.dark_current import DarkCurrentStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.references.types import DarkReference
from jwgpu.steps.dark_current import DarkCurrentStep

IMAGE = (9, 21)
OFFICIAL_MODELS = {"NRS1": "DarkNirspecModel", "MIRIMAGE": "DarkMIRIModel"}


def dark_of(*planes: int, nframes: int = 1, groupgap: int = 0, **more: Any) -> DarkReference:
    random = np.random.default_rng(7)
    steps = random.normal(3.0, 1.0, (*planes, *IMAGE)).astype(np.float32)
    data = np.cumsum(steps, axis=-3, dtype=np.float32)
    data[..., 4, 5] = np.nan
    data[..., planes[-1] // 2, 3, 3] = np.nan
    dq = random.choice(np.array([0, 1, 1 << 23], np.uint32), IMAGE)
    return DarkReference(data, dq, nframes=nframes, groupgap=groupgap, ngroups=planes[-1], **more)


def official_dark(dark: DarkReference, model: Any, path: Path) -> str:
    kind = OFFICIAL_MODELS.get(model.meta.instrument.detector, "DarkModel")
    dq = dark.dq.copy()
    if dark.data.ndim == 4:
        # The flags of the file are those of each integration; the reference has their union.
        dq = np.stack(
            [
                np.where(np.arange(dq.size).reshape(dq.shape) % len(dark.data) == i, dq, 0)
                for i in range(len(dark.data))
            ]
        )[:, None]
    result = getattr(datamodels, kind)(data=dark.data.copy(), dq=dq)
    exposure_facts = result.meta.exposure
    exposure_facts.nframes, exposure_facts.groupgap = dark.nframes, dark.groupgap
    exposure_facts.ngroups = dark.ngroups
    exposure_facts.average_dark_current = dark.average_dark_current_value
    if dark.average_dark_current is not None:
        result.average_dark_current = dark.average_dark_current.copy()
    return saved_reference(result, model, path)


def both(
    model: Any, dark: DarkReference, tmp_path: Path, rtol: float = 0, **parameters: Any
) -> tuple[Any, str]:
    dark.path = official_dark(dark, model, tmp_path / "dark.fits")
    before = dark.data.copy()
    theirs = official(Official, model, {"dark": dark.path}, **parameters)
    ramp, status = ours(DarkCurrentStep, model, dark, **parameters)
    assert status == theirs.meta.cal_step.dark_sub
    np.testing.assert_array_equal(dark.data, before)
    assert_same(ramp, theirs, rtol=rtol)
    return ramp, status


@pytest.mark.parametrize(
    ("detector", "nframes", "groupgap"),
    [
        ("NRCA1", 1, 0),
        ("NRCA1", 4, 1),
        ("NIS", 8, 12),
        ("NIS", 1, 3),
        ("NRS1", 2, 0),
        ("NRS1", 5, 5),
    ],
)
@pytest.mark.parametrize("ints", [1, 3])
def test_equals_official(
    detector: str, ints: int, nframes: int, groupgap: int, tmp_path: Path
) -> None:
    model = exposure((ints, 3, *IMAGE), detector, nframes=nframes, groupgap=groupgap)
    assert both(model, dark_of(50), tmp_path)[1] == "COMPLETE"


@pytest.mark.parametrize("ints", [1, 3])
@pytest.mark.parametrize("dark_ints", [1, 2])
@pytest.mark.parametrize(("nframes", "groupgap"), [(1, 0), (4, 1)])
@pytest.mark.parametrize("start", [None, 1, 5])
def test_miri_equals_official(
    ints: int, dark_ints: int, nframes: int, groupgap: int, start: int | None, tmp_path: Path
) -> None:
    """With the quirk that a short later segment is not corrected where the dark is averaged."""
    model = exposure(
        (ints, 3, *IMAGE), "MIRIMAGE", nframes=nframes, groupgap=groupgap, integration_start=start
    )
    ramp, _ = both(model, dark_of(dark_ints, 14), tmp_path)
    is_quirk = start == 5 and dark_ints > ints and nframes > 1
    assert np.array_equal(ramp.data, model.data) == is_quirk


def test_miri_dark_of_more_integrations_equals_official(tmp_path: Path) -> None:
    model = exposure((5, 3, *IMAGE), "MIRIMAGE", integration_start=1)
    both(model, dark_of(3, 4), tmp_path)


@pytest.mark.parametrize(
    ("nframes", "groupgap", "groups"), [(1, 0, 9), (4, 1, 4), (1, 2, 5), (8, 0, 3)]
)
@pytest.mark.parametrize("detector", ["NRCA1", "MIRIMAGE"])
def test_short_dark_is_extrapolated_as_officially(
    nframes: int, groupgap: int, groups: int, detector: str, tmp_path: Path
) -> None:
    model = exposure((2, groups, *IMAGE), detector, nframes=nframes, groupgap=groupgap)
    planes = (2, 7) if detector == "MIRIMAGE" else (7,)
    assert both(model, dark_of(*planes), tmp_path)[1] == "COMPLETE"


@pytest.mark.parametrize(
    ("dark_read", "read"), [((4, 1), (4, 1)), ((2, 0), (4, 0)), ((2, 1), (2, 3)), ((2, 2), (6, 4))]
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_averaged_darks_equal_official(
    dark_read: tuple[int, int], read: tuple[int, int], tmp_path: Path
) -> None:
    """Frames are counted in groups of the dark, and are NaN where it has none: its quirk."""
    dark = dark_of(16, nframes=dark_read[0], groupgap=dark_read[1])
    model = exposure((2, 6, *IMAGE), nframes=read[0], groupgap=read[1])
    both(model, dark, tmp_path)


@pytest.mark.parametrize(("nframes", "groupgap"), [(2, 0), (1, 1)])
def test_dark_that_averages_more_is_not_subtracted(
    nframes: int, groupgap: int, tmp_path: Path
) -> None:
    model = exposure((1, 4, *IMAGE))
    dark = dark_of(20, nframes=nframes, groupgap=groupgap)
    ramp, status = both(model, dark, tmp_path)
    assert status == "SKIPPED"
    np.testing.assert_array_equal(ramp.data, model.data)
    np.testing.assert_array_equal(ramp.pixeldq, model.pixeldq)


@pytest.mark.parametrize(
    ("parameter", "keyword", "image"),
    [
        (None, None, None),
        (None, 0.01, None),
        (None, 0.01, 0.0),
        (None, 0.01, 0.03),
        (0.02, 0.01, 0.03),
        (0.0, 0.01, None),
    ],
)
@pytest.mark.parametrize("is_second_run", [False, True])
def test_average_dark_current_equals_official(
    parameter: float | None,
    keyword: float | None,
    image: float | None,
    is_second_run: bool,
    tmp_path: Path,
) -> None:
    """With the quirk that the dark's image is used only if the exposure has one already."""
    dark = dark_of(4, average_dark_current_value=keyword)
    if image is not None:
        dark.average_dark_current = np.full(IMAGE, image, np.float32)
    model = exposure((1, 3, *IMAGE))
    if is_second_run:
        model.average_dark_current = np.full(IMAGE, 9.0, np.float32)
    ramp, _ = both(model, dark, tmp_path, average_dark_current=parameter)
    if image == 0.03 and parameter is None:
        expected = 0.03 if is_second_run else None
    else:
        expected = next((rate for rate in (parameter, keyword) if rate is not None), 0.0)
    if expected is None:
        assert ramp.average_dark_current is None
    else:
        np.testing.assert_allclose(ramp.average_dark_current, expected, rtol=1e-6)
        assert ramp.average_dark_current is not dark.average_dark_current


def header_of(hdu: Any) -> dict[str, Any]:
    changing = ("DATE", "FILENAME", "CHECKSUM", "DATASUM", "COMMENT", "")
    return {key: value for key, value in hdu.header.items() if key not in changing}


@pytest.mark.parametrize(
    ("detector", "planes"), [("NRCA1", (11,)), ("NRS1", (11,)), ("MIRIMAGE", (3, 11))]
)
@pytest.mark.parametrize(("nframes", "groupgap", "groups"), [(1, 0, 4), (1, 0, 13), (4, 1, 2)])
def test_saved_dark_equals_official(
    detector: str,
    planes: tuple[int, ...],
    nframes: int,
    groupgap: int,
    groups: int,
    tmp_path: Path,
) -> None:
    model = exposure((2, groups, *IMAGE), detector, nframes=nframes, groupgap=groupgap)
    dark = dark_of(*planes)
    dark.path = official_dark(dark, model, tmp_path / "dark.fits")
    # As read for this exposure: no more planes than it needs.
    dark.planes_in_file = planes
    needed = min(planes[-1], groups * (nframes + groupgap) - groupgap)
    dark.data = np.ascontiguousarray(dark.data[..., :needed, :, :])
    if needed < groups * (nframes + groupgap) - groupgap:
        assert needed == planes[-1]
    assert_saved_darks_agree(model, dark, tmp_path)


def test_saved_dark_that_was_averaged_equals_official(tmp_path: Path) -> None:
    """One that drops frames is extrapolated by a group more than is needed, as officially."""
    model = exposure((1, 7, *IMAGE), nframes=4, groupgap=1)
    dark = dark_of(5, nframes=4, groupgap=1)
    dark.path = official_dark(dark, model, tmp_path / "dark.fits")
    assert_saved_darks_agree(model, dark, tmp_path)
    assert fits.getval(tmp_path / "ours_dark.fits", "NGROUPS") == 8


def assert_saved_darks_agree(model: Any, dark: DarkReference, tmp_path: Path) -> None:
    saved = {}
    for name, run in (("theirs", official), ("ours", ours)):
        path = tmp_path / f"{name}_dark.fits"
        # The folder comes from output_dir alone.
        parameters = {"dark_output": f"elsewhere/{path.name}", "output_dir": str(tmp_path)}
        if run is official:
            official(Official, model, {"dark": dark.path}, **parameters)
        else:
            ours(DarkCurrentStep, model, dark, **parameters)
        saved[name] = path
    with fits.open(saved["ours"]) as mine, fits.open(saved["theirs"]) as theirs:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in theirs]
        for my_hdu, their_hdu in zip(mine, theirs, strict=True):
            assert header_of(my_hdu) == header_of(their_hdu)
        for name in ("SCI", "DQ"):
            assert mine[name].data.dtype == theirs[name].data.dtype
            np.testing.assert_array_equal(mine[name].data, theirs[name].data)
        assert mine[0].header["FILENAME"] == "ours_dark.fits"


def test_dark_that_is_no_file_cannot_be_saved() -> None:
    dark = dark_of(5, path="an open model")
    with pytest.raises(ReferenceFileError, match="an open model is not a file"):
        ours(DarkCurrentStep, exposure((1, 4, *IMAGE)), dark, dark_output="dark.fits")


def test_subtracts_what_a_simulated_detector_gathered() -> None:
    rate = np.linspace(0.1, 5.0, IMAGE[0] * IMAGE[1], dtype=np.float32).reshape(IMAGE)
    frames = rate * np.arange(60, dtype=np.float32)[:, None, None]
    dark = DarkReference(frames, np.zeros(IMAGE, np.uint32), nframes=1, groupgap=0)
    model = exposure((2, 5, *IMAGE), nframes=8, groupgap=2)
    groups = np.array([np.mean(np.arange(10 * g, 10 * g + 8)) for g in range(5)])
    model.data[...] = 100.0 + rate * groups[:, None, None].astype(np.float32)
    ramp, _ = ours(DarkCurrentStep, model, dark)
    np.testing.assert_allclose(ramp.data, 100.0, rtol=1e-6)


def test_what_cannot_be_matched_is_refused() -> None:
    model = exposure((1, 4, *IMAGE), nframes=None)
    with pytest.raises(InputError, match="NFRAMES"):
        ours(DarkCurrentStep, model, dark_of(5))
    model = exposure((1, 4, *IMAGE))
    with pytest.raises(ReferenceFileError, match="NFRAMES"):
        ours(DarkCurrentStep, model, dark_of(5, nframes=None))
    with pytest.raises(ReferenceFileError, match="too few to extrapolate"):
        ours(DarkCurrentStep, model, dark_of(1))
    gaps = exposure((1, 6, *IMAGE), groupgap=8)
    with pytest.raises(ReferenceFileError, match="single frames"):
        ours(DarkCurrentStep, gaps, dark_of(11, groupgap=4))
