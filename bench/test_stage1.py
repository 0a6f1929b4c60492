"""The table of stage 1 can be measured, and keeps the rows that are not measured again."""

from __future__ import annotations

from pathlib import Path

import pytest
import stage1
import stage1_rows

from jwgpu.steps import registry


def test_every_row_is_of_a_step_and_of_known_cases() -> None:
    for row in stage1_rows.ROWS:
        assert registry.find(row.alias) is not None
        assert set(row.cases) <= set(stage1_rows.CASES)
    names = [row.name for row in stage1_rows.ROWS]
    assert len(names) == len(set(names))
    assert all(case in stage1_rows.CASES for group in stage1_rows.GROUPS.values() for case in group)


#: Steps that the official release does not have, or that need what is not simulated yet.
ALONE = {"nsclean", "picture_frame"}
#: Steps whose measures docs/imaging.md has.
OF_IMAGES = {
    "assign_mtwcs",
    "assign_wcs",
    "background",
    "outlier_detection",
    "photom",
    "resample",
    "skymatch",
    "source_catalog",
    "targ_centroid",
    "tweakreg",
    "wfs_combine",
}


def test_every_finished_step_has_a_row() -> None:
    measured = {row.alias for row in stage1_rows.ROWS}
    assert {entry.alias for entry in registry.STEPS} - measured <= ALONE | OF_IMAGES


def test_the_steps_of_a_command_line_are_chosen() -> None:
    found = stage1.chosen(["small"], "jump")
    names = [(row.name, case) for row, case in found]
    assert names[:2] == [("jump", "small"), ("jump, MIRI", "small-miri")]
    assert {row.alias for row, _ in found} == {"jump"}
    assert [row.name for row, _ in stage1.chosen(["full"], "jump, MIRI")] == ["jump, MIRI"]
    assert [row.name for row, _ in stage1.chosen(["full"], "rscd,lastframe")] == [
        "rscd",
        "lastframe",
    ]


def test_a_row_is_measured_and_replaces_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "stage1.md"
    old = ["linearity | small | 9 | 9 | 9 | 9 | 9 | 9 | 9", "jump | nircam" + " | 1" * 7]
    rows = "\n".join(f"| {row} |" for row in [*old, "gone | small" + " | 1" * 7])
    page.write_text(f"before\n{stage1.BEGIN}\n{rows}\n{stage1.END}\nafter\n")
    words = ["--case", "small", "--steps", "linearity", "--runs", "1", "--page", str(page)]
    assert stage1.main([*words, "--scratch", str(tmp_path / "scratch")]) == 0, capsys.readouterr()
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    (linearity, jump) = stage1.rows_in(text)
    assert jump[:2] == ["jump", "nircam"]
    assert linearity[:2] == ["linearity", "small"]
    assert float(linearity[2]) < 1e-5
    assert linearity[3] == "0"
    assert float(linearity[4]) > 0
    assert "gone" not in text


def test_differences_are_found(tmp_path: Path) -> None:
    import numpy as np

    arrays = {"0_data": np.array([1.0, 2.0, 0.0], np.float32), "0_dq": np.array([1, 0], np.uint32)}
    for package in stage1.PACKAGES:
        (tmp_path / package).mkdir()
        for name, array in arrays.items():
            np.save(tmp_path / package / name, array)
    measured = {p: {"seconds": 1.0, "memory": 1.0, "status": "COMPLETE"} for p in stage1.PACKAGES}
    outcome = stage1.Outcome(stage1_rows.ROWS[0], "small", measured=measured)
    stage1.compare(outcome, tmp_path)
    assert (outcome.difference, outcome.flags) == (0.0, "0")
    np.save(tmp_path / "jwgpu" / "0_data", np.array([1.5, np.nan, 0.0], np.float32))
    np.save(tmp_path / "jwgpu" / "0_dq", np.array([3, 0], np.uint32))
    np.save(tmp_path / "jwgpu" / "0_err", np.zeros(1, np.float32))
    measured["jwgpu"]["status"] = "SKIPPED"
    stage1.compare(outcome, tmp_path)
    assert outcome.difference == pytest.approx(0.5)
    assert outcome.flags.startswith("2; ")
    assert "SKIPPED" in outcome.flags
    assert "only one has err" in outcome.flags
