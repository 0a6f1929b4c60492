"""The recipes of the containers: linted, and run as far as no container engine is needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jwgpu.simulate import make_dataset

TOP = Path(__file__).parents[2]
CONTAINERS = TOP / "containers"
DOCKERFILES = sorted(CONTAINERS.glob("Dockerfile.*"))
SCRIPTS = [CONTAINERS / "share.sh", *sorted((CONTAINERS / "slurm").iterdir())]


def run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **more
    )


def tool(name: str) -> str:
    """A linter that the test extra installs beside this interpreter."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed: pip install -e '.[test]'"
    return found


def test_all_recipes_are_looked_at():
    assert [path.suffix for path in DOCKERFILES] == [".cpu", ".cuda12", ".cuda13"]
    assert {path.name for path in SCRIPTS} == {"share.sh", "calibrate.sbatch", "submit.sh"}


@pytest.mark.parametrize("recipe", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(recipe):
    result = run(tool("hadolint"), recipe)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script):
    result = run(tool("shellcheck"), script)
    assert result.returncode == 0, result.stdout


def test_compose_obeys_its_schema():
    schema = ("--builtin-schema", "vendor.compose-spec")
    result = run(tool("check-jsonschema"), *schema, CONTAINERS / "compose.yaml")
    assert result.returncode == 0, result.stdout
    services = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert service["profiles"] == [name]
        assert (TOP / service["build"]["dockerfile"]).exists()
        assert any(volume.endswith(":/crds:ro") for volume in service["volumes"])
    assert "deploy" in services["gpu"] and "deploy" not in services["cpu"]


def test_job_has_as_many_shares_as_it_counts():
    job = yaml.safe_load((CONTAINERS / "k8s" / "calibrate.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert job["spec"]["completionMode"] == "Indexed"
    assert int(environment["COUNT"]) == job["spec"]["completions"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/crds"]["readOnly"]
    volumes = {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


@pytest.mark.parametrize("recipe", DOCKERFILES, ids=lambda path: path.name)
def test_image_is_as_promised(recipe):
    text = recipe.read_text()
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == 2
    assert re.search(r"^USER 1000$", text, re.MULTILINE)
    device = "" if recipe.suffix == ".cpu" else ', "--device", "cuda"'
    command = re.escape(f'["jwgpu", "doctor"{device}]')
    assert re.search(rf"^HEALTHCHECK .*CMD {command}$", text, re.MULTILINE)
    assert "org.opencontainers.image.title" in text
    extra = {"cpu": "."}.get(recipe.suffix[1:], f'".[{recipe.suffix[1:]}]"')
    assert re.search(rf"pip install --no-cache-dir {re.escape(extra)}$", text, re.MULTILINE)


@pytest.mark.parametrize("recipe", DOCKERFILES, ids=lambda path: path.name)
def test_all_caches_are_where_everybody_may_write(recipe):
    wanted = ["NUMBA_CACHE_DIR", "MPLCONFIGDIR"]
    if "cuda" in recipe.name:
        wanted += ["CUPY_CACHE_DIR", "JWGPU_CACHE_DIR"]
    assert [name for name in wanted if f" {name}=/cache/" not in recipe.read_text()] == []


def build_steps(recipe: Path) -> tuple[list[list[str]], list[str]]:
    """The words of COPY, and the commands of RUN, of the first stage."""
    stage = re.split(r"^FROM ", recipe.read_text(), flags=re.MULTILINE)[1]
    lines = stage.replace("\\\n", " ").splitlines()
    copies = [line.split()[1:] for line in lines if line.startswith("COPY ")]
    return copies, [line.removeprefix("RUN ") for line in lines if line.startswith("RUN ")]


def test_build_steps_of_the_image_make_what_calibrates(tmp_path):
    source, prefix = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    copies, commands = build_steps(CONTAINERS / "Dockerfile.cpu")
    for *files, target in copies:
        for name in files:
            if (TOP / name).is_dir():
                shutil.copytree(TOP / name, source / target, ignore=ignored)
            else:
                shutil.copy(TOP / name, source / target)
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
    }
    for command in commands:
        command = command.replace("/opt/jwgpu", str(prefix))
        result = run("bash", "-c", command, cwd=source, env=environment)
        assert result.returncode == 0, result.stderr[-2000:]
    shutil.rmtree(source)
    jwgpu = prefix / "bin" / "jwgpu"
    # The health check, and a subarray from end to end: data files have to be in the wheel.
    assert run(jwgpu, "doctor", env=environment).returncode == 0
    result = run(jwgpu, "demo", "--output-dir", tmp_path / "demo", env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    assert list((tmp_path / "demo").rglob("*_rate.fits"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exposures")
    data = make_dataset(
        folder, instrument="NIRCAM", detector="NRCB1", subarray="SUB64P", ngroups=4, nints=1
    )
    copies = [folder / f"jw0100100100{number}_nrcb1_uncal.fits" for number in range(3)]
    for path in copies:
        shutil.copy(data.exposure, path)
    manifest = folder / "manifest.txt"
    manifest.write_text("# exposures\n" + "\n\n".join(str(path) for path in copies) + "\n")
    return folder, manifest, copies


def test_array_job_calibrates_every_exposure_once(dataset, tmp_path):
    folder, manifest, exposures = dataset
    options = f"--references {folder / 'references'} --output-dir {tmp_path / 'products'}"
    done = []
    for task in range(2):
        environment = {
            **os.environ,
            "JWGPU": f"{sys.executable} -m jwgpu",
            "MANIFEST": str(manifest),
            "JWGPU_CONTAINERS": str(CONTAINERS),
            "OPTIONS": f"{options} --quiet",
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": "2",
            "SLURM_CPUS_PER_TASK": "1",
        }
        job = CONTAINERS / "slurm" / "calibrate.sbatch"
        result = run("bash", job, env=environment, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        done.append({path.name for path in (tmp_path / "products").glob("*_rate.fits")})
    names = [path.name.replace("_uncal", "_rate") for path in exposures]
    assert done[0] == {names[0], names[2]}
    assert done[1] == set(names)


def test_submission_never_asks_for_more_tasks_than_exposures(dataset, tmp_path):
    _, manifest, _ = dataset
    submit = CONTAINERS / "slurm" / "submit.sh"
    environment = {**os.environ, "SBATCH": "echo"}
    result = run(submit, manifest, "16", "--partition=gpu", env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[:2] == ["--array=0-2", "--partition=gpu"]
    empty = tmp_path / "empty.txt"
    empty.write_text("# nothing\n")
    result = run(submit, empty, env=environment)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def test_share_of_more_tasks_than_exposures_is_empty(dataset):
    _, manifest, _ = dataset
    result = run(CONTAINERS / "share.sh", manifest, "7", "9", "detector1")
    assert result.returncode == 0
    assert "nothing to do" in result.stdout


@pytest.mark.parametrize("words", [[], ["no-such-manifest", "0", "1", "detector1"]])
def test_share_refuses_what_it_cannot_read(words):
    result = run(CONTAINERS / "share.sh", *words)
    assert result.returncode == 2
    assert result.stderr.startswith("share.sh: ") and result.stderr.count("\n") == 1
