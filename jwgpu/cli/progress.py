"""The progress display on a terminal: step, share, elapsed and remaining time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jwgpu.cli.logs import LogOptions

#: Time that each step takes of a near-infrared full frame with ten groups, relative to the others;
#: steps that are off unless asked for count for little. Those of stage 3 are of one run of it.
WEIGHTS: dict[str, float] = {
    "load": 4.0,
    "group_scale": 0.1,
    "dq_init": 1.0,
    "emicorr": 0.1,
    "saturation": 3.0,
    "ipc": 4.0,
    "superbias": 2.0,
    "refpix": 5.0,
    "reset": 2.0,
    "linearity": 4.0,
    "rscd": 0.2,
    "firstframe": 0.1,
    "lastframe": 0.2,
    "dark_current": 3.0,
    "charge_migration": 0.1,
    "jump": 12.0,
    "picture_frame": 0.1,
    "clean_flicker_noise": 0.1,
    "persistence": 0.1,
    "ramp_fit": 10.0,
    "gain_scale": 0.1,
    "save": 4.0,
    "assign_mtwcs": 0.1,
    "tweakreg": 5.0,
    "skymatch": 2.0,
    "outlier_detection": 10.0,
    "resample": 8.0,
    "source_catalog": 3.0,
}
_OTHER = 1.0


def weight_of(step: str) -> float:
    """Return the relative time that a step takes."""
    return WEIGHTS.get(step, _OTHER)


class Estimate:
    """How far an exposure is, from the weights of its steps and the time that they took.

    The steps before the one that runs count as done, whether they ran or were skipped. Within a
    step the share grows with the time that the step should take, judged by those before it, and
    stops short of the whole; so the display moves, and does not run ahead.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.begin([])

    def begin(self, steps: Sequence[str]) -> None:
        """Start an exposure that will go through these steps."""
        self.steps = list(steps)
        self.total = sum(map(weight_of, steps)) or _OTHER
        self.done = 0.0
        self.step: str | None = None
        self.began = self.step_began = self.clock()
        self.ended: float | None = None

    def start(self, step: str) -> None:
        """Start a step."""
        if step in self.steps:
            before = self.steps[: self.steps.index(step)]
            self.done = max(self.done, sum(map(weight_of, before)))
        self.step = step
        self.step_began = self.clock()

    def finish(self, step: str) -> None:
        """Finish a step."""
        if self.step == step:
            self.done = min(self.total, self.done + weight_of(step))
            self.step = None

    def end(self) -> None:
        """Finish the exposure."""
        self.done = self.total
        self.step = None
        self.ended = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the exposure began."""
        return (self.clock() if self.ended is None else self.ended) - self.began

    @property
    def share(self) -> float:
        """Share of the work that is done, from 0 to 1."""
        done = self.done
        before = self.step_began - self.began
        if self.step is not None and done > 0 and before > 0:
            weight = weight_of(self.step)
            expected = weight * before / done
            done += weight * min(0.95, (self.clock() - self.step_began) / expected)
        return min(done / self.total, 1.0)

    @property
    def remaining(self) -> float | None:
        """Seconds still to go; None while nothing is known."""
        share = self.share
        return self.elapsed * (1 - share) / share if share > 0.02 else None


class Quiet:
    """No display; only remembers which step runs, for the log lines."""

    def __init__(self) -> None:
        self._step: str | None = None

    def current_step(self) -> str | None:
        """Return the step that runs now."""
        return self._step

    def start_exposure(self, name: str, steps: Sequence[str]) -> None:
        """Take note of an exposure."""

    def start_step(self, name: str) -> None:
        """Take note of a step."""
        self._step = name

    def finish_step(self, name: str, seconds: float) -> None:
        """Forget the step."""
        self._step = None

    def finish_exposure(self, name: str) -> None:
        """Forget the exposure."""
        self._step = None


class Display(Quiet):
    """A line on the terminal that is redrawn while an exposure is calibrated.

    Parameters
    ----------
    console
        Terminal to draw on.
    exposures
        Number of inputs of this call.
    """

    def __init__(self, console: Any, exposures: int) -> None:
        from rich.progress import BarColumn, ProgressColumn, TextColumn
        from rich.progress import Progress as Bars
        from rich.text import Text

        super().__init__()
        self.console = console
        self.exposures = exposures
        self.estimate = Estimate()
        self.count = 0
        self.task: Any = None
        estimate = self.estimate

        class Times(ProgressColumn):
            def render(self, task: Any) -> Text:
                # Called several times a second by the thread that redraws.
                task.completed = 100 * estimate.share
                return Text(times(estimate))

        self.bars = Bars(
            Times(),
            BarColumn(bar_width=30),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            refresh_per_second=5,
        )

    def start_exposure(self, name: str, steps: Sequence[str]) -> None:
        """Begin a new line."""
        self.count += 1
        self.name = name
        self.estimate.begin(steps)
        self.task = self.bars.add_task(name, total=100.0)

    def start_step(self, name: str) -> None:
        """Show the step."""
        super().start_step(name)
        self.estimate.start(name)
        if self.task is not None:
            number = f"{self.count}/{self.exposures} " if self.exposures > 1 else ""
            self.bars.update(self.task, description=f"{number}{self.name}  {name}")

    def finish_step(self, name: str, seconds: float) -> None:
        """Count the step as done."""
        super().finish_step(name, seconds)
        self.estimate.finish(name)

    def finish_exposure(self, name: str) -> None:
        """Replace the line with a plain one that stays."""
        super().finish_exposure(name)
        self.estimate.end()
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
            self.console.print(
                f"{self.name}: {self.estimate.elapsed:.1f} s", markup=False, highlight=False
            )


def times(estimate: Estimate) -> str:
    """Write share, elapsed and remaining time."""
    remaining = estimate.remaining
    left = "" if remaining is None else f", {clock_time(remaining)} left"
    return f"{100 * estimate.share:3.0f} % {clock_time(estimate.elapsed)}{left}"


def clock_time(seconds: float) -> str:
    """Write seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def shown(options: LogOptions, exposures: int) -> Iterator[Quiet]:
    """Observe the exposures of a call: with a display on a terminal, silently elsewhere.

    Parameters
    ----------
    options
        Log options; those that ask for log lines on the terminal leave no display.
    exposures
        Number of inputs.
    """
    from jwgpu.runner import progress as observed

    if not (sys.stderr.isatty() and options.is_default and not options.quiet):
        quiet = Quiet()
        with observed.observed_by(quiet):
            yield quiet
        return
    from rich.console import Console

    display = Display(Console(stderr=True), exposures)
    with observed.observed_by(display), display.bars:
        yield display
