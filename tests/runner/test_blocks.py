"""Exposures in blocks: the same products to the bit, whatever the blocks are."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_blocks import ANY_BLOCKS, assert_identical, calibrate, cut

from jwgpu.backends.cpu import CpuDevice
from jwgpu.cli import main
from jwgpu.errors import ParameterError
from jwgpu.models.ramp import Ramp
from jwgpu.models.stored_planes import ZeroPlanes
from jwgpu.runner import blocks, memory, parts
from jwgpu.runner.scratch import ScratchPlanes
from jwgpu.simulate import make_dataset

EXPOSURES: dict[str, dict[str, Any]] = {
    "nircam": {"instrument": "NIRCAM", "window": (1, 1, 72, 37), "ngroups": 7, "nints": 3},
    "nircam-zero-frame": {
        "instrument": "NIRCAM",
        "detector": "NRCALONG",
        "window": (1, 1, 72, 33),
        "readpatt": "MEDIUM8",
        "ngroups": 6,
        "nints": 3,
    },
    "nircam-clipped": {
        "instrument": "NIRCAM",
        "window": (600, 700, 24, 15),
        "ngroups": 4,
        "nints": 103,
        "bad_pixels": False,
        "star_peaks": (0.02, 0.1),
        "cosmic_rays": 0.01,
    },
    "niriss-one-integration": {"instrument": "NIRISS", "subarray": "SUB80", "ngroups": 5},
    "nirspec": {"instrument": "NIRSPEC", "window": (1, 1, 64, 32), "ngroups": 5, "nints": 2},
    "miri": {"instrument": "MIRI", "window": (1, 1, 64, 41), "ngroups": 12, "nints": 4},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that gives an exposure, simulated once, and its usual products."""
    made: dict[str, Any] = {}

    def get(case: str) -> tuple[Path, Path]:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            data = make_dataset(folder, seed=5, **EXPOSURES[case])
            if case == "nircam-clipped":
                _strike_everywhere(data.exposure)
            made[case] = data.exposure, calibrate(data.exposure, folder / "whole")
        return made[case]

    return get


def _strike_everywhere(path: Path) -> None:
    """Let every pixel jump in one group: sigma clipping has a rule of its own for that."""
    with fits.open(path, mode="update") as file:
        file["SCI"].data[50, 2:] += 900


@pytest.mark.parametrize("size", [(1, 1), (2, 13)])
@pytest.mark.parametrize("case", EXPOSURES)
def test_products_are_the_same_in_blocks(dataset, tmp_path, monkeypatch, case, size):
    exposure, whole = dataset(case)
    cuts = cut(monkeypatch, *size)
    assert_identical(calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS), whole)
    assert max(n for _, n in cuts) > 1
    assert cuts[-1][0].endswith("jump, ramp_fit")


def test_the_case_of_jumps_everywhere_is_one(dataset):
    # Cleared again: without the rule, a jump in every pixel would take the integration apart.
    _, whole = dataset("nircam-clipped")
    (path,) = whole.glob("*_rateints.fits")
    with fits.open(path) as product:
        jumps = (product["DQ"].data & 4 != 0).mean(axis=(1, 2))
    assert jumps[50] < 0.2 and jumps.max() > 0


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(n_ints=st.integers(1, 4), n_rows=st.integers(1, 41))
def test_products_are_the_same_for_any_blocks(dataset, tmp_path_factory, n_ints, n_rows):
    exposure, whole = dataset("miri")
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, n_ints, n_rows)
        folder = calibrate(exposure, tmp_path_factory.mktemp("blocks"), ANY_BLOCKS)
    assert_identical(folder, whole)


#: Options that have something to know of the whole exposure, or a state between the parts.
OPTIONS = {
    "groups": ("nircam", ["--steps.ramp_fit.firstgroup=1", "--steps.ramp_fit.lastgroup=5"]),
    "groups of MIRI": ("miri", ["--steps.ramp_fit.firstgroup=2", "--steps.rscd.skip=true"]),
    "likelihood": ("nircam", ["--steps.ramp_fit.algorithm=LIKELY"]),
    "after jumps": (
        "nircam",
        ["--steps.jump.after_jump_flag_dn1=10", "--steps.jump.after_jump_flag_time1=20"],
    ),
    "clip all": (
        "nircam",
        ["--steps.jump.only_use_ints=false", "--steps.jump.minimum_sigclip_groups=10"],
    ),
    "no jump": ("niriss-one-integration", ["--steps.jump.skip=true"]),
    "charge migration": (
        "nircam",
        ["--steps.charge_migration.skip=false", "--steps.charge_migration.signal_threshold=15000"],
    ),
    "one group": ("nircam-zero-frame", ["--steps.ramp_fit.suppress_one_group=false"]),
    "dark rate": ("nircam", ["--steps.dark_current.average_dark_current=0.5"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_work_in_blocks(dataset, tmp_path, monkeypatch, name):
    case, options = OPTIONS[name]
    exposure, _ = dataset(case)
    whole = calibrate(exposure, tmp_path / "whole", *options)
    cut(monkeypatch, 2, 11)
    assert_identical(calibrate(exposure, tmp_path / "blocks", ANY_BLOCKS, *options), whole)


def test_segments_count_their_integrations(dataset, tmp_path, monkeypatch):
    exposure, _ = dataset("miri")
    segment = tmp_path / exposure.name
    (tmp_path / "references").symlink_to(exposure.parent / "references")
    segment.write_bytes(exposure.read_bytes())
    with fits.open(segment, mode="update") as file:
        file[0].header.update(INTSTART=2, INTEND=5, NINTS=9)
    whole = calibrate(segment, tmp_path / "whole")
    cut(monkeypatch, 1, 17)
    assert_identical(calibrate(segment, tmp_path / "blocks", ANY_BLOCKS), whole)


@pytest.mark.parametrize("part", [0.85, 0.95])
def test_a_limit_makes_blocks_that_fit(dataset, tmp_path, monkeypatch, part):
    monkeypatch.setattr(memory, "PROCESS", 0)
    exposure, whole = dataset("nircam")
    found = []
    usual = parts.windows_of

    def windows(*arguments: Any) -> list[range]:
        found.append(usual(*arguments))
        return found[-1]

    monkeypatch.setattr(parts, "windows_of", windows)
    size = memory.Size((3, 7, 37, 72)).in_one_piece(0)
    folder = calibrate(exposure, tmp_path / "blocks", f"--max-memory={int(part * size)}")
    assert_identical(folder, whole)
    assert max(map(len, found)) > 1
    for bounds in found:
        assert [i for window in bounds for i in window] == list(range(bounds[-1].stop))


def test_an_exposure_that_fits_is_calibrated_in_one_piece(dataset, tmp_path, monkeypatch):
    exposure, whole = dataset("nircam")
    monkeypatch.setattr(blocks.Blocks, "run", None)
    assert_identical(calibrate(exposure, tmp_path / "blocks", "--max-memory=2GB"), whole)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a hook before linearity, where no configuration can bring one along."""
    from jwgpu.pipelines import Detector1Pipeline

    usual = Detector1Pipeline.process

    def process(self: Any, source: Any) -> Any:
        self.linearity._pre_hooks = [object()]
        return usual(self, source)

    monkeypatch.setattr(Detector1Pipeline, "process", process)


def refused(exposure: Path, folder: Path, capsys: Any) -> str:
    references = exposure.parent / "references"
    arguments = [str(exposure), "--references", str(references), "--output-dir", str(folder)]
    assert main(["detector1", *arguments, ANY_BLOCKS]) != 0
    assert not list(folder.iterdir())
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "max_memory" in message
    return message


def test_hooks_are_refused(dataset, tmp_path, capsys, hook):
    assert "hook of linearity" in refused(dataset("nircam")[0], tmp_path, capsys)


def test_too_little_memory_is_refused(dataset, tmp_path, capsys):
    assert "give more" in refused(dataset("nircam")[0], tmp_path, capsys)


def test_a_full_disk_is_one_line(dataset, tmp_path, monkeypatch, capsys):
    exposure, _ = dataset("nircam")
    cut(monkeypatch, 1, 5)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10}))
    references = exposure.parent / "references"
    arguments = [str(exposure), "--references", str(references), "--output-dir", str(tmp_path)]
    assert main(["detector1", *arguments, ANY_BLOCKS]) != 0
    assert "--output-dir" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.iterdir())


def stored(folder: Path, shape: tuple[int, int, int, int]) -> Ramp:
    """Return an exposure in files, all of it zero but for the flags of pixels, which are 1."""
    planes = ZeroPlanes(shape, np.float32), ZeroPlanes(shape, np.uint8)
    exposure = Ramp(*planes, np.ones(shape[2:], np.uint32), model=None)
    budget = memory.Budget(10**9, 0, "max_memory=1GB")
    exposure.storage = parts.Storage(folder, budget, CpuDevice())
    return exposure


def test_each_block_begins_with_the_flags_of_the_exposure(tmp_path):
    exposure = stored(tmp_path, (2, 3, 4, 5))
    gathering = parts.Gathering(exposure, parts.Cutting(by_rows=False))
    for integration in range(2):
        window = range(integration, integration + 1)
        part = gathering.read(window)
        assert (part.pixeldq == 1).all()
        part.pixeldq |= 2 << integration
        part.data += integration
        gathering.take(part, window)
    gathering.finish()
    assert (exposure.pixeldq == 7).all()
    np.testing.assert_array_equal(exposure.data.read()[:, 0, 0, 0], [0, 1])
    assert not list(tmp_path.iterdir())


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 9), halo=st.integers(0, 3), rounds=st.integers(1, 3))
def test_blocks_of_rows_see_their_neighbours_as_they_were(size, halo, rounds):
    """Rows are written back while the next block is still to look at them."""
    with tempfile.TemporaryDirectory() as folder:
        exposure = stored(Path(folder), (2, 3, 9, 4))
        for before in range(rounds):
            gathering = parts.Gathering(exposure, parts.Cutting(by_rows=True, halo=halo))
            for first in range(0, 9, size):
                window = range(first, min(first + size, 9))
                part = gathering.read(window)
                assert (part.data == before).all() and (part.groupdq == before).all()
                part.data += 1
                part.groupdq += 1
                gathering.take(part, window)
            gathering.finish()
        assert (exposure.data.read() == rounds).all() and (exposure.groupdq.read() == rounds).all()


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_part_of_a_scratch_file_is_read_as_written(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=4, max_size=4)))
    values = np.random.default_rng(1).integers(0, 4, shape).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        planes = ScratchPlanes(Path(folder), shape, np.uint8)
        for i in range(shape[0]):
            planes.write(slice(i, i + 1), values[i : i + 1])
        window = [
            slice(*sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))))
            for n in shape[:3]
        ]
        ints, groups, rows = window
        expected = values[ints, groups, rows]
        np.testing.assert_array_equal(planes.read(ints, rows, groups), expected)
        has = ((values & 1) != 0).all(axis=(2, 3))
        np.testing.assert_array_equal(planes.where_all_have(1), has)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("4GB", 4_000_000_000),
        ("800 mb", 800_000_000),
        ("1.5GiB", 1_610_612_736),
        ("2K", 2000),
        ("77", 77),
        ("none", None),
        (None, None),
    ],
)
def test_sizes_are_understood(text, n_bytes):
    assert memory.bytes_of(text) == n_bytes


@pytest.mark.parametrize("text", ["much", "0", "-4GB", "4XB", "3iB", "0.1"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ParameterError, match="max_memory"):
        memory.bytes_of(text)


def test_memory_stays_below_the_limit(tmp_path):
    """A process of its own, with an exposure of 250 MB in memory, and three quarters of it."""
    data = make_dataset(
        tmp_path, instrument="NIRCAM", subarray="SUB640", ngroups=10, nints=2, threads=2
    )
    with fits.open(data.exposure) as file:
        file["SCI"].data = np.tile(file["SCI"].data, (6, 1, 1, 1))
        file[0].header["NINTS"] = 12
        file.writeto(data.exposure, overwrite=True)
    references = data.exposure.parent / "references"
    words = [str(data.exposure), "--references", str(references)]
    whole, limited = (
        _peak([*words, "--output-dir", str(tmp_path / name), *options])
        for name, options in (("whole", []), ("blocks", ["--max-memory=575MB"]))
    )
    assert limited < 575e6, (whole, limited)
    assert limited < whole - 80e6, (whole, limited)
    assert_identical(tmp_path / "blocks", tmp_path / "whole")


def _peak(words: list[str]) -> float:
    """Calibrate in another process; return its largest resident memory, in bytes."""
    command = [sys.executable, "-m", "jwgpu", "detector1", *words, "--log-level=WARNING"]
    # A small process in between: Linux counts the memory of whoever starts a process to it.
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *command, "--threads=2"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout.split()[-1]) * (1 if sys.platform == "darwin" else 1024)
