"""Superstripes: each integration of the detector is read as several, one for each stripe."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from jwgpu.simulate.detector_maps import detector_maps
from jwgpu.simulate.exposure import Simulation, Truth
from jwgpu.simulate.exposure import simulate_exposure as simulate_plain_exposure
from jwgpu.simulate.geometry import Window
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.stripes import (
    StripedWindow,
    calibrated_window,
    cut_out,
    striped_rates,
    striped_window,
    whole_window,
)

# From the seed of an exposure to those of the noise of its stripes.
_SEED_STEP = 7919


@dataclass(frozen=True)
class OneStripe(Settings):
    """Settings of one superstripe of an exposure.

    Attributes
    ----------
    number : int
        Which, from 0.
    scene_seed : int
        Of sky and stars, the same for all stripes; `seed` is that of the noise.
    """

    number: int = 0
    scene_seed: int = 0

    @cached_property
    def place(self) -> Window:
        """The lines of this stripe."""
        assert self.window is not None and self.stripes is not None
        first = striped_window(self.camera, self.window, self.subarray, self.stripes)
        return replace(first, number=self.number)


def simulate_exposure(settings: Settings, threads: int = 1) -> Simulation:
    """Simulate a raw exposure.

    Parameters
    ----------
    settings : Settings
        What to simulate.
    threads : int
        Blocks of rows computed at a time. The result does not depend on it.

    Returns
    -------
    Simulation
        Raw counts in science orientation, and the truth. Of superstripes, the settings count each
        stripe as an integration; rate and flags of the truth are those of the stripes together,
        the rest is by stripe.
    """
    place = settings.place
    if not isinstance(place, StripedWindow) or not place.readout.n_superstripes:
        return simulate_plain_exposure(settings, threads)
    n = place.readout.n_superstripes
    values = {field.name: getattr(settings, field.name) for field in fields(Settings)}
    parts = []
    for number in range(n):
        seed = settings.seed + _SEED_STEP * (number + 1)
        own = OneStripe(**{**values, "seed": seed}, number=number, scene_seed=settings.seed)
        parts.append(simulate_plain_exposure(own, threads))

    calibrated = calibrated_window(place)
    maps = detector_maps(settings, calibrated)
    rate = cut_out(striped_rates(settings), whole_window(place), calibrated) / maps.gain
    zero_frames = [part.zeroframe for part in parts if part.zeroframe is not None]
    truth = Truth(
        rate=rate,
        blurred_rate=rate,
        cosmic_rays=np.concatenate([part.truth.cosmic_rays for part in parts]),
        large_events=np.concatenate([part.truth.large_events for part in parts]),
        saturated_group=_in_turn([part.truth.saturated_group for part in parts]),
        flags=maps.flags,
    )
    return Simulation(
        replace(settings, nints=settings.nints * n),
        _in_turn([part.data for part in parts]),
        _in_turn(zero_frames) if zero_frames else None,
        None,
        truth,
    )


def _in_turn(parts: list[Any]) -> Any:
    """Join arrays by their first axis: the first of each, then the second of each, and so on."""
    return np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])
