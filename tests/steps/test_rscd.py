from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_steps import assert_same, exposure, official, ours, saved_reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwst.rscd import RscdStep as Official
from stdatamodels.jwst import datamodels

from jwgpu.models.flags import DO_NOT_USE, FLUX_ESTIMATED, SATURATED
from jwgpu.references.types import RscdReference
from jwgpu.steps.rscd import RscdStep

TABLE = [
    ("FULL", "FAST", 9, 9),
    ("SUB64", "SLOW", 7, 7),
    ("SUB64", "FAST", 2, 4),
    ("SLITLESSPRISM", "FAST", 3, 1),
]
COLUMNS = ("subarray", "readpatt", "group_skip1", "group_skip")
COUNTS = (
    "keep_bright_firstgroup_int1",
    "keep_bright_firstgroup_int2p",
    "keep_groups_saturation_int1",
    "keep_groups_saturation_int2p",
    "ngroups_skip_int1",
    "ngroups_skip_int2p",
)


def rscd_of(rows: list[tuple[Any, ...]]) -> RscdReference:
    kinds = [("U17", "U12", "i4", "i4")[i] for i in range(4)]
    return RscdReference(np.array(rows, dtype=list(zip(COLUMNS, kinds, strict=True))))


def both(model: Any, tmp_path: Path, rows: list[tuple[Any, ...]] = TABLE) -> Any:
    kinds = ("S17", "S12", "i4", "i4")
    table = np.array(rows, dtype=list(zip(COLUMNS, kinds, strict=True)))
    official_rscd = datamodels.RSCDModel(rscd_group_skip_table=table)
    path = saved_reference(official_rscd, model, tmp_path / "rscd.fits")
    theirs = official(Official, model, {"rscd": path})
    ramp, status = ours(RscdStep, model, rscd_of(rows))
    assert status == theirs.meta.cal_step.rscd
    assert_same(ramp, theirs, rtol=0)
    for name in COUNTS:
        assert getattr(ramp.meta.rscd, name) == getattr(theirs.meta.rscd, name), name
    return ramp


def saturate(model: Any, seed: int) -> None:
    """Saturate pixels from a random group on, some from the first, most never."""
    random = np.random.default_rng(seed)
    ints, groups, *image = model.data.shape
    start = random.choice(np.arange(3 * groups), (ints, 1, *image))
    is_saturated = np.arange(groups)[:, None, None] >= start
    model.groupdq[is_saturated] |= SATURATED


@pytest.mark.parametrize("ints", [1, 2, 4])
@pytest.mark.parametrize("groups", [2, 3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("has_saturation", [False, True])
def test_equals_official(ints: int, groups: int, has_saturation: bool, tmp_path: Path) -> None:
    model = exposure((ints, groups, 8, 10), "MIRIMAGE")
    if has_saturation:
        saturate(model, groups)
    both(model, tmp_path)


@pytest.mark.parametrize("start", [1, 2, 7])
@pytest.mark.parametrize("ints", [1, 3])
def test_segments_equal_official(start: int, ints: int, tmp_path: Path) -> None:
    model = exposure(
        (ints, 10, 8, 10),
        "MIRIMAGE",
        nints=20,
        integration_start=start,
        integration_end=start + ints - 1,
    )
    saturate(model, start)
    both(model, tmp_path)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=st.integers(0, 7),
    others=st.integers(0, 7),
    groups=st.integers(3, 12),
    seed=st.integers(0, 2**31),
)
def test_any_flags_equal_official(
    first: int, others: int, groups: int, seed: int, tmp_path: Path
) -> None:
    """Saturation that comes and goes up the ramp follows the rest of the image, as officially."""
    model = exposure((2, groups, 3, 5), "MIRIMAGE")
    random = np.random.default_rng(seed)
    is_saturated = random.random(model.groupdq.shape) < random.random()
    model.groupdq[is_saturated] |= SATURATED
    both(model, tmp_path, [("SUB64", "FAST", first, others)])


def test_pixels_that_saturate_early_keep_groups(tmp_path: Path) -> None:
    model = exposure((1, 12, 8, 10), "MIRIMAGE")
    model.groupdq[...] = 0
    model.groupdq[0, 4:, 3, 3] = SATURATED
    ramp = both(model, tmp_path, [("SUB64", "FAST", 4, 4)])
    is_flagged = (ramp.groupdq[0] & DO_NOT_USE) != 0
    assert np.all(is_flagged[:4, 0, 0])
    assert not is_flagged[4:].any()
    assert list(is_flagged[:4, 3, 3]) == [True, True, False, False]
    assert np.count_nonzero(ramp.pixeldq & FLUX_ESTIMATED) == 1
    assert ramp.meta.rscd.keep_groups_saturation_int1 == 1


@pytest.mark.parametrize("subarray", ["SUBPRISM", "FULL", "SUB128"])
def test_rows_of_the_table_as_official(subarray: str, tmp_path: Path) -> None:
    model = exposure((2, 12, 8, 10), "MIRIMAGE")
    model.meta.subarray.name = subarray
    both(model, tmp_path)


def test_table_without_first_integration_skips_one_group(tmp_path: Path) -> None:
    model = exposure((2, 12, 8, 10), "MIRIMAGE")
    ramp = both(model, tmp_path, [("SUB64", "FAST", -1, 4)])
    assert ramp.meta.rscd.ngroups_skip_int1 == 1


def test_other_instruments_are_skipped() -> None:
    assert ours(RscdStep, exposure(), rscd_of(TABLE))[1] == "SKIPPED"
