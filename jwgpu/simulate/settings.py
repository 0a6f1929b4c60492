"""What to simulate: one dataclass, with everything else derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jwgpu.errors import ParameterError
from jwgpu.simulate.geometry import Detector, Window
from jwgpu.simulate.readout import (
    DEFAULT_READ_PATTERN,
    READ_PATTERNS,
    ReadPattern,
    frame_time,
)
from jwgpu.simulate.stripes import Numbers, striped_window
from jwgpu.simulate.subarrays import find_detector, free_window, named_window

_DEFAULT_DETECTOR = {
    "NIRCAM": "NRCA1",
    "NIRISS": "NIS",
    "NIRSPEC": "NRS1",
    "FGS": "GUIDER1",
    "MIRI": "MIRIMAGE",
}


@dataclass(frozen=True)
class Settings:
    """An exposure to simulate, and the detector that takes it.

    Brightnesses are fractions of the full well collected in one integration, so that a small
    subarray with short frames shows the same variety of ramps as a full frame.

    Attributes
    ----------
    instrument, detector : str
        As in the INSTRUME and DETECTOR keywords; no detector means the instrument's first.
    subarray : str
        Name of a subarray of that detector, or FULL.
    window : tuple of int, optional
        First column and row (from 1), columns and rows of a free-form window instead; SUBARRAY
        then says `subarray` if that is not FULL.
    stripes : tuple of int, optional
        Read the window in stripes: MSTR_RD1, MSTR_SK1, MSTR_RD2, MSTR_SK2, MSTR_RPT, MSTR_ILV,
        SSTR_STP, SSTR_NST. `window` then is what the keywords of the subarray say; `nints` counts
        whole sets of superstripes.
    readpatt : str, optional
        Read pattern; by default the instrument's fast one.
    ngroups, nints : int
        Groups in an integration, integrations in the exposure.
    nframes, groupgap : int, optional
        Frames averaged into a group and dropped between groups, instead of the pattern's.
    frame_divisor : int, optional
        What the sum of a group's frames is divided by on board (FRMDIVSR); by default nframes.
    seed : int
        Of scene, noise and cosmic rays; the same seed gives the same bytes.
    detector_seed : int
        Of bias, gain, bad pixels and so on: what the reference files describe. Any window of a
        detector is cut from the same full frame.
    filter, pupil, grating, exp_type : str, optional
        Keywords, if not the usual ones of the instrument.
    time_series : bool
        What TSOVISIT says.
    zero_frame : bool, optional
        Whether to keep the first frame (ZEROFRAME); by default where NIRCam averages frames.
    sky : float
        Sky, in full wells an integration.
    n_stars : int, optional
        Number of stars; by default one for 2000 pixels, at least three.
    star_peaks : tuple of float
        Faintest and brightest peak pixel of a star, in full wells an integration.
    psf_sigma : float
        Width of the (Gaussian) image of a star, in pixels.
    dark : float
        Dark current of a normal pixel, in full wells an integration.
    shot_noise : bool
        Whether arriving charge is noisy.
    read_noise : float
        Read noise, relative to the detector's.
    ktc_noise : float
        Noise of the reset level, once an integration, in DN.
    flicker_noise : float
        1/f noise, in DN (standard deviation); constant along a row of an amplifier.
    drift : float
        Step of each amplifier's wandering level from frame to frame, in DN.
    odd_even : float
        Wandering difference between odd and even columns (rows for MIRI), in DN.
    cosmic_rays : float
        Hits an integration, as a fraction of the number of pixels.
    interference : float
        Amplitude of MIRI's electromagnetic interference at each of its frequencies, in DN.
    picture_frame : float
        Thermal glow at the edges of NIRSpec's detectors, above their center, in full wells an
        integration.
    snowballs, showers : float
        Mean number of these large events an integration.
    nonlinearity : float
        Relative strength of the non-linear response; 0 for a linear detector.
    gain_factor : float, optional
        What GAINFACT of the gain reference says (NIRSpec's subarrays have one).
    ipc : float
        Share of a pixel's charge that shows in each of its four neighbours.
    bad_pixels : bool
        Whether there are dead, hot, RC and other flawed pixels.
    """

    instrument: str = "NIRCAM"
    detector: str | None = None
    subarray: str = "FULL"
    window: tuple[int, int, int, int] | None = None
    stripes: Numbers | None = None
    readpatt: str | None = None
    ngroups: int = 10
    nints: int = 1
    nframes: int | None = None
    groupgap: int | None = None
    frame_divisor: int | None = None
    seed: int = 0
    detector_seed: int = 0
    filter: str | None = None
    pupil: str | None = None
    grating: str | None = None
    exp_type: str | None = None
    time_series: bool = False
    zero_frame: bool | None = None
    sky: float = 0.02
    n_stars: int | None = None
    star_peaks: tuple[float, float] = (0.02, 10.0)
    psf_sigma: float = 1.0
    dark: float = 0.001
    shot_noise: bool = True
    read_noise: float = 1.0
    ktc_noise: float = 10.0
    flicker_noise: float = 1.0
    drift: float = 2.0
    odd_even: float = 2.0
    cosmic_rays: float = 0.003
    interference: float = 0.0
    picture_frame: float = 0.0
    snowballs: float = 0.0
    showers: float = 0.0
    nonlinearity: float = 1.0
    gain_factor: float | None = None
    ipc: float = 0.005
    bad_pixels: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated, naming the value."""
        for name in ("ngroups", "nints", "nframes", "frame_divisor"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ParameterError(f"{name} is {value}; it must be at least 1")
        if self.instrument.upper() not in _DEFAULT_DETECTOR:
            raise ParameterError(
                f"no instrument {self.instrument!r}; choose one of: " + ", ".join(_DEFAULT_DETECTOR)
            )
        # Finding these says what is wrong with their names.
        place, pattern = self.place, self.pattern
        if pattern.is_irs2 and (place.name != "FULL" or self.window is not None):
            raise ParameterError(f"{pattern.name} reads full frames only; leave the subarray out")

    @cached_property
    def camera(self) -> Detector:
        """The detector itself."""
        instrument = self.instrument.upper()
        return find_detector(instrument, self.detector or _DEFAULT_DETECTOR[instrument])

    @cached_property
    def place(self) -> Window:
        """The part of the detector that is read."""
        if self.stripes is not None:
            if self.window is None:
                raise ParameterError("stripes need a window: what SUBSTRT1 to SUBSIZE2 say")
            return striped_window(self.camera, self.window, self.subarray, self.stripes)
        if self.window is None:
            return named_window(self.camera, self.subarray)
        return free_window(
            self.camera, self.window, None if self.subarray == "FULL" else self.subarray
        )

    @cached_property
    def pattern(self) -> ReadPattern:
        """The read pattern, with this exposure's own numbers of frames if given."""
        instrument = self.instrument.upper()
        name = (self.readpatt or DEFAULT_READ_PATTERN[instrument]).upper()
        known = READ_PATTERNS.get(name)
        if known is None or known.instrument != instrument:
            choices = [p.name for p in READ_PATTERNS.values() if p.instrument == instrument]
            raise ParameterError(
                f"{instrument} has no read pattern {name!r} here; choose one of: "
                + ", ".join(choices)
            )
        frames = known.nframes if self.nframes is None else self.nframes
        gap = known.groupgap if self.groupgap is None else self.groupgap
        return ReadPattern(instrument, name, frames, gap, known.nsamples)

    @property
    def divisor(self) -> int:
        """What the sum of a group's frames is divided by."""
        return self.frame_divisor or self.pattern.nframes

    @property
    def keeps_zero_frame(self) -> bool:
        """Whether the exposure has a ZEROFRAME."""
        if self.zero_frame is not None:
            return self.zero_frame
        return self.instrument.upper() == "NIRCAM" and self.pattern.nframes > 1

    @property
    def frame_time(self) -> float:
        """Seconds from frame to frame (TFRAME)."""
        return frame_time(self.camera, self.place, self.pattern)

    @property
    def group_time(self) -> float:
        """Seconds from group to group (TGROUP)."""
        return self.frame_time * (self.pattern.nframes + self.pattern.groupgap)

    @property
    def total_frames(self) -> int:
        """Frames of one integration, dropped ones between groups included."""
        return self.ngroups * self.pattern.nframes + (self.ngroups - 1) * self.pattern.groupgap

    @property
    def integration_time(self) -> float:
        """Seconds from the reset to the last frame (EFFINTTM)."""
        return self.total_frames * self.frame_time
