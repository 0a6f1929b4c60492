"""All that can be checked on a GPU only: ``make test-gpu``.

The tests that run on a GPU, those of the kernels under compute-sanitizer (of the CUDA toolkit, if
it is there), and bench/gpu.py. Each part that fails is named at the end.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent

PYTEST = [sys.executable, "-m", "pytest", "-q", "-m"]

#: Tools of compute-sanitizer, and which tests run under them: racecheck is slow.
SANITIZERS = {"memcheck": "gpu", "racecheck": "gpu and races"}


def parts() -> dict[str, list[str]]:
    """Return the commands to run, by what they check; an empty one cannot be run here."""
    commands = {"tests": [*PYTEST, "gpu", "tests"]}
    sanitizer = shutil.which("compute-sanitizer")
    for tool, marked in SANITIZERS.items():
        start = [str(sanitizer), "--tool", tool, "--error-exitcode", "9"]
        under = [*start, *PYTEST, marked, "-p", "plain_allocator", "tests/kernels"]
        commands[tool] = under if sanitizer else []
    commands["benchmark"] = [sys.executable, "bench/gpu.py"]
    return commands


def main() -> int:
    """Run everything; return 0 if all went well, 2 if there is no GPU."""
    from jwgpu.backends import get_device
    from jwgpu.errors import DeviceError

    try:
        get_device("cuda")
    except DeviceError as error:
        why = str(error).removesuffix(", or use --device cpu")
        print(f"make test-gpu: {why}", file=sys.stderr)
        return 2
    outcomes = {}
    for name, command in parts().items():
        if not command:
            outcomes[name] = "not run: there is no compute-sanitizer (of the CUDA toolkit)"
            continue
        status = subprocess.run(command, cwd=_ROOT, check=False).returncode
        outcomes[name] = f"failed with status {status}" if status else "passed"
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome}")
    return int(any(outcome.startswith("failed") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
