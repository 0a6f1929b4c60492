"""What a run on a GPU costs beside its arithmetic: copies, waits and launches, each accounted for.

The stand-in counts. A number that grows here is time lost on a GPU, and easily done by mistake: a
hidden copy, an array read number by number. Change a number only with its reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from devices import open_device
from test_cuda import EXPOSURES, calibrate

from jwgpu.backends import cuda
from jwgpu.kernels.ramp_fit import cuda as ramp_fit_on_gpu
from jwgpu.simulate import make_dataset

READ = "models.decoding.read_to"
REFERENCES = "references.collection.References.load"
FINISH = "pipelines.detector1.Detector1Pipeline.finish"

#: What every detector waits for.
SCALARS = {
    "models.reading.complete": 1,  # is there a finite sample? The first image has one
    "kernels.saturation.cuda._flag_block": 1,  # did flags come with the file?
}
FETCHED = {
    # rate and rateints: values, flags, error, and two variances of each
    FINISH: 10,
    # a few numbers each: pixels that saturate; groups that nobody can use, and jumps found
    "kernels.saturation.cuda.flag_saturation": 1,
    "kernels.jump.search.on_host": 2,
}
LAUNCHES = {
    # saturation: where it begins, the flags, and what the second group tells
    "find_onset": 1,
    "flag_onset": 1,
    "check_second_group": 1,
    "deconvolve": 1,  # ipc
    "straighten": 1,  # linearity
    # jump: groups that nobody can use, in two looks; jumps, and their neighbours
    "check_planes": 2,
    "find_jumps": 1,
    "flag_neighbors": 1,
    "fit_ramps": 1,
}
EXPECTED: dict[str, dict[str, dict[str, int]]] = {
    "nircam": {
        "sent": {
            READ: 1,  # the samples, as they are stored
            # mask; saturation and flags; IPC; superbias and flags; linearity and flags; dark and
            # flags; gain; read noise
            REFERENCES: 12,
            "kernels.reference_pixels.layout._joined": 1,  # bounds of the sections
            "kernels.ramp_fit.cuda._sent_weights": 1,  # table of weights
        },
        "fetched": FETCHED,
        "scalars": SCALARS
        | {"steps.ramp_fit._all_have.<locals>.<genexpr>": 1},  # is all of the first group bad?
        "launches": LAUNCHES
        | {
            "find_offsets": 1,  # refpix
            "subtract_sum": 1,
            "subtract_dark": 1,
        },
    },
    "miri": {
        "sent": {
            READ: 1,
            # mask; saturation and flags; IPC; reset and flags; linearity and flags; dark and
            # flags; gain; read noise. RSCD is a table, for the host
            REFERENCES: 12,
            "kernels.ramp_fit.cuda._sent_weights": 1,
        },
        "fetched": FETCHED,
        "scalars": SCALARS
        | {
            # the groups at either end that all pixels lost: firstframe, lastframe, rscd
            "steps.ramp_fit._all_have.<locals>.<genexpr>": 4,
            # do pixels saturate so early that they must keep groups? First integration, others
            "steps.rscd._any_saturates_later": 2,
        },
        "launches": LAUNCHES | {"subtract_dark": 2},  # reset, dark
    },
}


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Count from the moment at which the GPU has proved that it can compute."""
    device = open_device("emulated")
    from cudasim.fakecupy.modules import settings

    monkeypatch.setattr(cuda, "load_cupy", lambda: device.xp)
    monkeypatch.setattr(settings, "reorders", False)
    cuda.open_cuda.cache_clear()
    cuda.open_cuda(0)
    # What an earlier run of this process has sent for good would not be counted.
    ramp_fit_on_gpu._sent_weights.cache_clear()
    device.xp.counts.reset()
    yield device.xp.counts
    cuda.open_cuda.cache_clear()


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_travels_waits_or_runs_but_what_must(counts, tmp_path, name):
    data = make_dataset(tmp_path, seed=12, **EXPOSURES[name])
    calibrate("detector1", data.exposure, tmp_path / "cuda", "cuda")
    found = {kind: counts.of(kind) for kind in EXPECTED[name]}
    assert found == EXPECTED[name]
    # The host waits for what it fetches and reads, and once for the samples to be there.
    waits_for_samples = 2
    assert counts.syncs == counts.fetched + counts.scalars + waits_for_samples


def samples_in(exposure: Path) -> int:
    from jwgpu.models.fits_arrays import FitsFile

    with FitsFile(exposure) as file:
        return sum(file[name].data_bytes for name in ("SCI", "ZEROFRAME") if name in file)


def test_samples_travel_as_they_are_stored(counts, tmp_path):
    settings = {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 60, "nints": 4}
    data = make_dataset(tmp_path, seed=1, **settings)
    calibrate("saturation", data.exposure, tmp_path / "cuda", "cuda")
    image = 4 * 64 * 72
    # two bytes a sample, and two references with their flags
    assert counts.sent_bytes == samples_in(data.exposure) + 2 * image


def test_more_integrations_cost_no_more_copies_or_launches(counts, tmp_path):
    found = []
    for nints in (1, 4):
        counts.reset()
        ramp_fit_on_gpu._sent_weights.cache_clear()
        settings = {**EXPOSURES["nircam"], "nints": nints}
        data = make_dataset(tmp_path / f"{nints}", seed=12, **settings)
        calibrate("detector1", data.exposure, tmp_path / f"cuda{nints}", "cuda")
        found.append((counts.sent, counts.fetched, counts.scalars, counts.launches))
    assert found[0] == found[1]
