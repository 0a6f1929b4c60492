"""Count rates from ramps: least squares with optimal weights, segment by segment."""

from __future__ import annotations

from typing import Any, NamedTuple

from jwgpu.backends import implementation


class Timing(NamedTuple):
    """When the detector was read.

    Attributes
    ----------
    group_time, frame_time : float
        From one group, or frame, to the next, in s.
    nframes, groupgap, drop_frames : int
        Frames averaged in a group, dropped between groups, and dropped at the start of an
        integration.
    """

    group_time: float
    frame_time: float
    nframes: int
    groupgap: int
    drop_frames: int = 0


class Fit(NamedTuple):
    """Rates of an exposure, (y, x), or of its integrations, (ints, y, x).

    Attributes
    ----------
    data, err : array, float32
        Count rate and its error, in DN/s. NaN where no rate is known.
    dq : array, uint32
        The pixel's flags and what its groups add: SATURATED, JUMP_DET and PERSISTENCE where any
        group has it, DO_NOT_USE where no group is usable, NO_GAIN_VALUE.
    var_poisson, var_rnoise : array, float32
        Variance by photon and by read noise, in (DN/s)^2; 0 where no rate is known.
    """

    data: Any
    dq: Any
    err: Any
    var_poisson: Any
    var_rnoise: Any


class Segments(NamedTuple):
    """Every segment of every ramp, float32; 0 past the last segment (jump) of a ramp.

    Attributes
    ----------
    slope, sigslope, var_poisson, var_rnoise, yint, sigyint, weights : array, (ints, segments, y, x)
        Slope in DN/s, its error without photon noise in electron a group, its variances in
        (DN/s)^2, the signal at group zero in DN, its error in electron, and the reciprocal of
        ``var_rnoise``.
    pedestal : array, (ints, y, x)
        First sample less the rate times the groups read before it, in DN.
    crmag : array, (ints, jumps, y, x)
        Sample less the one before it, wherever a jump is flagged, in DN.
    """

    slope: Any
    sigslope: Any
    var_poisson: Any
    var_rnoise: Any
    yint: Any
    sigyint: Any
    weights: Any
    pedestal: Any
    crmag: Any


def fit_ramps(
    data: Any,
    groupdq: Any,
    pixeldq: Any,
    gain: Any,
    readnoise: Any,
    timing: Timing,
    *,
    groups: tuple[int, int] | None = None,
    zeroframe: Any = None,
    average_dark_current: Any = None,
    suppress_one_group: bool = True,
    save_segments: bool = False,
    is_last_use: bool = False,
) -> tuple[Fit, Fit, Segments | None]:
    """Fit a straight line to each segment of each ramp, and combine them.

    A segment is a run of unflagged groups (PERSISTENCE does not count), together with the jump
    before it; single groups are used only where there is nothing longer. Samples are weighted by
    their distance from the segment's middle to a power that grows with signal to noise. Segments
    are combined with the weights of read noise alone.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples, in DN.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of the samples. Neither is changed, but see `is_last_use`.
    pixeldq : array, (y, x) uint32
        Flags of the pixels.
    gain : array, (y, x) float32
        In electron/DN. Where it is NaN or not positive there is no rate, and NO_GAIN_VALUE is
        flagged.
    readnoise : array, (y, x) float32
        Noise of the difference of two frames, in DN.
    timing : Timing
        When the detector was read.
    groups : (int, int), optional
        First group to use and the one after the last; all if not given. Where groups are left out
        at the start, a jump in the first one that remains counts for nothing.
    zeroframe : array, (ints, y, x) float32, optional
        First frame in DN, 0 where saturated: replaces the first group of ramps that have no good
        group, if single groups are not suppressed.
    average_dark_current : array, (y, x) float32, optional
        Adds to the photon noise, in DN/s as the rate does.
    suppress_one_group : bool
        Give no rate where a ramp has a single good group; ignored if the exposure has one group
        only.
    save_segments : bool
        Return the third result.
    is_last_use : bool
        `data` and `groupdq` are not needed any more: their memory may go while the rates grow,
        and what they hold afterwards is not defined.

    Returns
    -------
    rate, rateints : Fit
        Of the whole exposure and of each integration.
    segments : Segments or None
        Every segment.

    Notes
    -----
    Optimal weights: Fixsen et al. 2000, PASP 112, 1350. Equations: JWST calibration documents,
    "Ramp Fitting".
    """
    body = implementation(
        __name__, data, groupdq, pixeldq, gain, readnoise, zeroframe, average_dark_current
    )
    result: tuple[Fit, Fit, Segments | None] = body.fit_ramps(
        data,
        groupdq,
        pixeldq,
        gain,
        readnoise,
        timing,
        groups=(0, data.shape[1]) if groups is None else groups,
        zeroframe=zeroframe,
        average_dark_current=average_dark_current,
        # With one group in all there would be nothing left.
        suppress_one_group=suppress_one_group and data.shape[1] > 1,
        save_segments=save_segments,
        is_last_use=is_last_use,
    )
    return result
