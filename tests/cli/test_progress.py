"""The progress display: its arithmetic, and what stands on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from jwgpu.cli import progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def weights(*steps: str) -> float:
    return sum(progress.WEIGHTS[step] for step in steps)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_share_is_that_of_the_weights(clock):
    steps = ["load", "refpix", "jump", "save"]
    estimate = progress.Estimate(clock)
    estimate.begin(steps)
    estimate.start("load")
    assert estimate.share == 0
    assert estimate.remaining is None
    clock.now += 4
    estimate.start("refpix")
    assert estimate.share == pytest.approx(weights("load") / weights(*steps))


def test_a_step_grows_within_its_share_and_stops_short(clock):
    estimate = progress.Estimate(clock)
    estimate.begin(["load", "jump"])
    estimate.start("load")
    clock.now += weights("load")
    estimate.start("jump")
    before = estimate.share
    clock.now += weights("jump") / 2
    half = estimate.share
    clock.now += 1000 * weights("jump")
    assert before < half < estimate.share < 1
    assert half == pytest.approx((weights("load") + weights("jump") / 2) / weights("load", "jump"))


def test_remaining_time(clock):
    estimate = progress.Estimate(clock)
    estimate.begin(["load", "save"])
    estimate.start("load")
    clock.now += 10
    estimate.start("save")
    assert estimate.remaining == pytest.approx(10 * weights("save") / weights("load"))


def test_skipped_steps_count_as_done(clock):
    estimate = progress.Estimate(clock)
    estimate.begin(["load", "refpix", "jump", "save"])
    estimate.start("load")
    clock.now += 1
    estimate.start("save")
    assert estimate.share > 0.8


def test_share_never_falls(clock):
    estimate = progress.Estimate(clock)
    estimate.begin(["gain_scale", "jump", "gain_scale"])
    shares = []
    for step in ["gain_scale", "jump", "gain_scale"]:
        estimate.start(step)
        shares.append(estimate.share)
        clock.now += 1
        estimate.finish(step)
        shares.append(estimate.share)
    assert shares == sorted(shares)


def test_the_end_is_all(clock):
    estimate = progress.Estimate(clock)
    estimate.begin(["jump"])
    clock.now += 3
    estimate.end()
    clock.now += 100
    assert (estimate.share, estimate.elapsed, estimate.remaining) == (1, 3, 0)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_clock_time(seconds, text):
    assert progress.clock_time(seconds) == text


def test_display_names_the_step_and_leaves_a_line():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    display = progress.Display(console, exposures=2)
    with display.bars:
        display.start_exposure("a_uncal.fits", ["load", "jump"])
        display.start_step("load")
        display.finish_step("load", 0.1)
        display.start_step("jump")
        assert display.current_step() == "jump"
        display.bars.refresh()
        display.finish_exposure("a_uncal.fits")
    text = screen.getvalue()
    assert "1/2 a_uncal.fits  jump" in text
    assert "%" in text
    assert "a_uncal.fits: 0.0 s" in text
    assert display.current_step() is None
