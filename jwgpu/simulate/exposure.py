"""From light to raw counts: the up-the-ramp read-out of an exposure.

A pixel gathers charge frame by frame; each read adds noise and the electronics' levels, is
turned to integers, and the frames of a group are averaged as on board.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from jwgpu.models.flags import RC
from jwgpu.simulate.detector_maps import DetectorMaps, FloatImage, detector_maps, full_well
from jwgpu.simulate.interference import interference
from jwgpu.simulate.irs2 import interleave
from jwgpu.simulate.large_events import LARGE_EVENT, draw_large_events
from jwgpu.simulate.pedestal import Pedestal, draw_pedestal
from jwgpu.simulate.picture_frame import picture_frame
from jwgpu.simulate.response import Q1, Q2, Q3, measured_counts
from jwgpu.simulate.scene import (
    COSMIC_RAY,
    NOISE,
    REFERENCE_OUTPUT,
    cosmic_rays,
    count_rates,
    generator,
    share_cosmic_rays,
    share_with_neighbours,
)
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.stripes import StripedWindow, cut_out, striped_rates, whole_window

# Pixels of a block of rows: small enough to stay in the processor's cache.
_BLOCK_PIXELS = 32768

_ADC_LIMIT = np.float32(65535.0)

# MIRI, in DN: the first groups sit low after a reset, the last frame is pulled down.
RESET_DEPTH = 25.0
RESET_DECAY = 2.0  # groups
LATER_INTEGRATIONS = 1.6  # how much deeper after the first integration
_LAST_FRAME = -15.0

_RC_CHARGE = 0.3  # full wells
_RC_TIME = 0.15  # integrations


@dataclass(frozen=True)
class Truth:
    """What went into an exposure.

    Attributes
    ----------
    rate : ndarray, float32, shape (y, x)
        Sky and stars in DN/s as a perfect calibration would find them.
    blurred_rate : ndarray, float32, shape (y, x)
        The same with inter-pixel capacitance, as found without the ipc step.
    cosmic_rays : ndarray of `jwgpu.simulate.scene.COSMIC_RAY`
        Every pixel struck.
    large_events : ndarray of `jwgpu.simulate.large_events.LARGE_EVENT`
        Every snowball and shower.
    saturated_group : ndarray, int16, shape (ints, y, x)
        First group that reaches the full well; the number of groups where none does.
    flags : ndarray, uint32, shape (y, x)
        Flaws of the pixels.
    """

    rate: FloatImage
    blurred_rate: FloatImage
    cosmic_rays: NDArray[np.void]
    large_events: NDArray[np.void]
    saturated_group: NDArray[np.int16]
    flags: NDArray[np.uint32]


@dataclass(frozen=True)
class Simulation:
    """A raw exposure in memory.

    Attributes
    ----------
    settings : Settings
    data : ndarray, uint16, shape (ints, groups, y, x)
        Raw counts; with IRS2, y counts reference pixels, too.
    zeroframe : ndarray, uint16, shape (ints, y, x), or None
        First frame of each integration, alike.
    refout : ndarray, uint16, shape (ints, groups, y, x // 4), or None
        MIRI's reference output.
    truth : Truth
    """

    settings: Settings
    data: NDArray[np.uint16]
    zeroframe: NDArray[np.uint16] | None
    refout: NDArray[np.uint16] | None
    truth: Truth


@dataclass
class _Block:
    """Rows of an exposure on their way through the read-out; images of shape (rows, x)."""

    first: int
    stop: int
    charge: FloatImage  # e-, gathered so far
    per_frame: FloatImage  # e-, arriving in one frame
    shot: FloatImage  # e-, its standard deviation
    level: FloatImage  # DN: bias and reset noise, or for MIRI the bias made linear
    inverse_gain: FloatImage
    events: NDArray[np.void]
    rc_pixels: NDArray[np.bool_]
    scratch: list[FloatImage]
    rng: np.random.Generator


class _Readout:
    """One exposure being read out.

    Parameters
    ----------
    settings : Settings
    n_held : int
        Integrations that the arrays hold, from `first` on.
    light : ndarray, (y, x), optional
        See `simulate_exposure`.
    """

    def __init__(
        self, settings: Settings, n_held: int, light: NDArray[np.floating] | None = None
    ) -> None:
        self.settings = settings
        self.n_held = n_held
        self.first = 0
        self.maps: DetectorMaps = detector_maps(settings)
        well = full_well(settings.camera)
        if light is not None:
            rate = np.where(self.maps.efficiency > 0, light, 0).astype(np.float32) * self.maps.gain
        elif isinstance(settings.place, StripedWindow):
            whole = whole_window(settings.place)
            rate = cut_out(striped_rates(settings), whole, settings.place)
        else:
            rate = count_rates(settings, self.maps)
        self.rate = rate / self.maps.gain
        blurred = share_with_neighbours(rate, settings.ipc)
        blurred[self.maps.efficiency == 0.0] = 0.0
        self.blurred_rate = blurred / self.maps.gain
        dark = self.maps.dark * np.float32(well / settings.integration_time)
        if settings.picture_frame:
            dark = dark + picture_frame(settings) * self.maps.gain
        self.per_frame = (blurred + dark) * np.float32(settings.frame_time)

        shape = (n_held, settings.ngroups, *settings.place.shape)
        self.data = np.empty(shape, dtype=np.uint16)
        self.zeroframe = (
            np.empty((n_held, *settings.place.shape), dtype=np.uint16)
            if settings.keeps_zero_frame
            else None
        )
        self.saturated_group = np.full(
            (n_held, *settings.place.shape), settings.ngroups, dtype=np.int16
        )
        self._reference_rng = generator(settings, REFERENCE_OUTPUT)

    def blocks(self, integration: int, events: NDArray[np.void]) -> Iterator[_Block]:
        """Cut an integration into blocks of rows, each with a generator of its own."""
        settings, maps = self.settings, self.maps
        height, width = settings.place.shape
        rows = max(1, _BLOCK_PIXELS // width)
        for first in range(0, height, rows):
            stop = min(height, first + rows)
            part = slice(first, stop)
            rng = generator(settings, NOISE, integration, first)
            level = maps.superbias[part].copy()
            level += np.float32(settings.ktc_noise) * rng.standard_normal(
                level.shape, dtype=np.float32
            )
            if settings.camera.is_mid_infrared:
                # Linearity acts on counts with the bias in them.
                strength = maps.nonlinearity[part]
                level *= 1 + strength * level * (Q1 + level * (Q2 + level * Q3))
            inside = (events["y"] >= first) & (events["y"] < stop)
            per_frame = self.per_frame[part]
            yield _Block(
                first=first,
                stop=stop,
                charge=np.zeros_like(level),
                per_frame=per_frame,
                shot=np.sqrt(per_frame),
                level=level,
                inverse_gain=np.float32(1.0) / maps.gain[part],
                events=events[inside],
                rc_pixels=(maps.flags[part] & RC) != 0,
                scratch=[np.empty_like(level) for _ in range(5)],
                rng=rng,
            )

    def integrate(self, integration: int, block: _Block, pedestal: Pedestal) -> None:
        """Read one block through one integration."""
        settings = self.settings
        nframes, gap = settings.pattern.nframes, settings.pattern.groupgap
        part, held = slice(block.first, block.stop), integration - self.first
        total = np.zeros(block.charge.shape, dtype=np.uint32)
        for frame in range(settings.total_frames):
            self.gather(block, frame)
            group, place = divmod(frame, nframes + gap)
            if place >= nframes:
                continue
            counts, saturated = self.read(block, pedestal, integration, frame)
            if place == 0:
                total[...] = 0
            total += counts.astype(np.uint32)
            if frame == 0 and self.zeroframe is not None:
                self.zeroframe[held, part] = counts
            first = self.saturated_group[held, part]
            np.minimum(first, np.where(saturated, np.int16(group), first), out=first)
            if place == nframes - 1:
                if settings.divisor > 1:
                    total //= np.uint32(settings.divisor)
                np.minimum(total, 65535, out=total)
                self.data[held, group, part] = total

    def gather(self, block: _Block, frame: int) -> None:
        """Add the charge of one frame time to a block."""
        block.charge += block.per_frame
        if self.settings.shot_noise:
            noise = block.scratch[0]
            block.rng.standard_normal(out=noise, dtype=np.float32)
            noise *= block.shot
            block.charge += noise
        first, stop = np.searchsorted(block.events["frame"], [frame, frame + 1])
        struck = block.events[first:stop]
        np.add.at(block.charge, (struck["y"] - block.first, struck["x"]), struck["electrons"])

    def read(
        self, block: _Block, pedestal: Pedestal, integration: int, frame: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a block once: whole counts as float32, and which pixels are full."""
        settings, maps = self.settings, self.maps
        part = slice(block.first, block.stop)
        counts, noise = block.scratch[3], block.scratch[4]
        np.multiply(block.charge, block.inverse_gain, out=counts)
        if block.rc_pixels.any():
            elapsed = (frame + 1) / settings.total_frames
            charge = _RC_CHARGE * full_well(settings.camera) * (1 - np.exp(-elapsed / _RC_TIME))
            counts[block.rc_pixels] += np.float32(charge / settings.camera.gain)
        infrared = settings.camera.is_mid_infrared
        if infrared:
            counts += block.level
        measured_counts(counts, maps.nonlinearity[part], block.scratch[:3])
        saturated = counts >= maps.well[part]
        np.minimum(counts, maps.well[part], out=counts)
        if infrared:
            counts += np.float32(reset_effect(integration, frame)) * maps.settling[part]
            if frame == settings.total_frames - 1:
                counts += np.float32(_LAST_FRAME)
        else:
            counts += block.level
        if settings.interference:
            counts += interference(settings, integration, frame, block.first, block.stop)
        pedestal.add_to(counts, frame, block.first, block.stop)
        if settings.read_noise:
            block.rng.standard_normal(out=noise, dtype=np.float32)
            noise *= maps.read_noise[part]
            noise *= np.float32(settings.read_noise)
            counts += noise
        np.rint(counts, out=counts)
        np.clip(counts, np.float32(0.0), _ADC_LIMIT, out=counts)
        return counts, saturated

    def run(
        self, integration: int, electronics: Settings, pool: ThreadPoolExecutor | None
    ) -> tuple[NDArray[np.void], NDArray[np.void]]:
        """Read out one integration; return the cosmic rays and large events in it."""
        settings = self.settings
        pedestal = draw_pedestal(electronics, integration)
        events = cosmic_rays(settings, integration)
        large_events, of_large_events = draw_large_events(settings, integration)
        everything = np.concatenate([events, of_large_events])
        everything = everything[np.argsort(everything["frame"], kind="stable")]
        blocks = self.blocks(integration, share_cosmic_rays(everything, settings))
        if pool is None:
            for block in blocks:
                self.integrate(integration, block, pedestal)
        else:
            jobs = [pool.submit(self.integrate, integration, block, pedestal) for block in blocks]
            for job in jobs:
                job.result()
        return events, large_events

    def reference_output(self) -> NDArray[np.uint16] | None:
        """Read MIRI's fifth output, which sees no pixels, in the integrations that are held."""
        settings = self.settings
        if not settings.camera.is_mid_infrared:
            return None
        rng = self._reference_rng
        height, width = settings.place.shape
        shape = (self.n_held, settings.ngroups, height, width // 4)
        counts = rng.standard_normal(shape, dtype=np.float32)
        counts *= np.float32(settings.camera.read_noise / settings.camera.gain)
        counts += np.float32(8000.0)
        return np.rint(counts).astype(np.uint16)


def reset_effect(integration: int, group: int) -> float:
    """Return how far MIRI's counts are off after a reset, in DN, integration and group from 0."""
    depth = RESET_DEPTH * (LATER_INTEGRATIONS if integration else 1.0)
    return -depth * float(np.exp(-group / RESET_DECAY))


def simulate_exposure(
    settings: Settings, threads: int = 1, light: NDArray[np.floating] | None = None
) -> Simulation:
    """Simulate a raw exposure.

    Parameters
    ----------
    settings : Settings
        What to simulate.
    threads : int
        Blocks of rows computed at a time. The result does not depend on it.
    light : ndarray, (y, x), optional
        Count rates in DN/s that a perfect calibration would find, instead of the settings' scene.

    Returns
    -------
    Simulation
        Raw counts in science orientation, and the truth.
    """
    readout = _Readout(settings, settings.nints, light)
    electronics = _electronics(settings)
    struck = [np.zeros(0, dtype=COSMIC_RAY)]
    large = [np.zeros(0, dtype=LARGE_EVENT)]
    with _pool(threads) as pool:
        for integration in range(settings.nints):
            events, large_events = readout.run(integration, electronics, pool)
            struck.append(events)
            large.append(large_events)
    truth = Truth(
        rate=readout.rate,
        blurred_rate=readout.blurred_rate,
        cosmic_rays=np.concatenate(struck),
        large_events=np.concatenate(large),
        saturated_group=readout.saturated_group,
        flags=readout.maps.flags,
    )
    data, zeroframe = readout.data, readout.zeroframe
    if settings.pattern.is_irs2:
        data = interleave(settings, data)
        zeroframe = None if zeroframe is None else interleave(settings, zeroframe[:, None])[:, 0]
    return Simulation(settings, data, zeroframe, readout.reference_output(), truth)


def simulate_integrations(
    settings: Settings, threads: int = 1
) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.uint16] | None, NDArray[np.uint16] | None]]:
    """Simulate a raw exposure one integration after the other, without holding the others.

    Parameters
    ----------
    settings, threads
        As for `simulate_exposure`; the counts are the same. Not with IRS2 or superstripes.

    Yields
    ------
    data : ndarray, uint16, shape (groups, y, x)
    zeroframe : ndarray, uint16, shape (y, x), or None
    refout : ndarray, uint16, shape (groups, y, x // 4), or None
        Valid until the next integration.
    """
    readout = _Readout(settings, 1)
    electronics = _electronics(settings)
    with _pool(threads) as pool:
        for integration in range(settings.nints):
            readout.first = integration
            readout.run(integration, electronics, pool)
            refout = readout.reference_output()
            zeroframe = None if readout.zeroframe is None else readout.zeroframe[0]
            yield readout.data[0], zeroframe, None if refout is None else refout[0]


def _electronics(settings: Settings) -> Settings:
    """Return the settings of the pedestal: the noise of IRS2 comes with its reference pixels."""
    if settings.pattern.is_irs2:
        return replace(settings, flicker_noise=0.0, drift=0.0, odd_even=0.0)
    return settings


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor | None]:
    if threads == 1:
        yield None
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool
