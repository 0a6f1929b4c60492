"""What ``jwgpu doctor`` finds, and what it advises."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from jwgpu.cli import doctor, main


def findings(check) -> dict:
    return {finding.about: finding for finding in check()}


def test_everything_needed_is_here(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for word in ("python", "numba", "stpipe", "processors", "memory", "kernel cache", "cuda"):
        assert word in printed
    assert "jwgpu can calibrate here" in printed


def test_as_json(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"about", "state", "text", "advice"} == set(found[0])


def test_a_missing_package_is_a_problem(monkeypatch, capsys):
    version = metadata.version

    def without_numba(name):
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_numba)
    assert main(["doctor"]) == 1
    assert "python -m pip install numba" in capsys.readouterr().out


def test_every_package_that_is_needed_is_looked_for():
    assert set(doctor._requirements()) <= set(doctor.PACKAGES)


def test_an_old_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "0.1")
    finding = findings(doctor.packages)["numba"]
    assert finding.state == "problem"
    assert "is needed" in finding.text


def test_a_check_that_fails_is_a_finding(monkeypatch, capsys):
    def broken():
        raise RuntimeError("no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (broken,))
    assert main(["doctor"]) == 1
    assert "RuntimeError: no such thing" in capsys.readouterr().out


def test_crds_is_not_set(monkeypatch):
    monkeypatch.delenv("CRDS_PATH", raising=False)
    monkeypatch.delenv("CRDS_SERVER_URL", raising=False)
    found = findings(doctor.crds)
    assert found["CRDS server"].state == found["CRDS cache"].state == "note"
    assert "--references DIR" in found["CRDS cache"].advice


def test_crds_cache_is_counted(monkeypatch, tmp_path):
    (tmp_path / "config" / "jwst").mkdir(parents=True)
    (tmp_path / "references" / "jwst").mkdir(parents=True)
    (tmp_path / "references" / "jwst" / "one.fits").touch()
    monkeypatch.setenv("CRDS_PATH", str(tmp_path))
    monkeypatch.setenv("CRDS_SERVER_URL", "https://example.org")
    finding = findings(doctor.crds)["CRDS cache"]
    assert finding.state == "ok"
    assert "1 references" in finding.text


@pytest.mark.parametrize(("files", "state"), [(0, "note"), (2, "ok")])
def test_kernel_cache(monkeypatch, tmp_path, files, state):
    for number in range(files):
        (tmp_path / f"kernel-{number}.nbi").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert findings(doctor.kernel_cache)["kernel cache"].state == state


def test_little_memory(monkeypatch):
    from jwgpu.backends.cpu import CpuDevice

    monkeypatch.setattr(CpuDevice, "free_memory", lambda self: 10**9)
    assert "close other programs" in findings(doctor.memory)["memory"].advice


@pytest.mark.parametrize(
    ("device", "status", "state"), [("auto", 0, "note"), ("cuda", 1, "problem")]
)
def test_a_card_that_was_asked_for_must_work(monkeypatch, capsys, device, status, state):
    from jwgpu.errors import DeviceError

    def no_card(name):
        raise DeviceError(f"device {name}: no GPU is found; check the driver")

    monkeypatch.setattr("jwgpu.backends.get_device", no_card)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.python_version,))
    assert main(["doctor", "--device", device, "--json"]) == status
    found = {one["about"]: one for one in json.loads(capsys.readouterr().out)}
    assert (found["cuda"]["state"], found["cuda"]["advice"]) == (state, "check the driver")


def test_without_a_card_wanted_none_is_looked_for(capsys):
    assert main(["doctor", "--device", "cpu"]) == 0
    assert "cuda" not in capsys.readouterr().out


def test_an_unknown_device_is_a_problem(capsys):
    assert main(["doctor", "--device", "tpu"]) == 1
    assert "auto, cpu, cuda" in capsys.readouterr().out
