"""Finding cosmic-ray hits in ramps by the two-point-difference method."""

from __future__ import annotations

from typing import Any

from jwgpu.backends import implementation
from jwgpu.kernels.jump import search
from jwgpu.kernels.jump.search import is_clipped
from jwgpu.kernels.jump.settings import JumpCount, JumpSettings, Surroundings

__all__ = [
    "JumpCount",
    "JumpSettings",
    "Surroundings",
    "clip_jumps",
    "find_full_groups",
    "find_jumps",
    "is_clipped",
]


def find_full_groups(groupdq: Any, flags: int) -> Any:
    """Return, (ints, groups) bool on the host, the groups of which every pixel has one of `flags`.

    Parameters
    ----------
    groupdq : array, (ints, groups, y, x) uint8
    flags : int
    """
    return search.on_host(implementation(__name__, groupdq).full_groups(groupdq, flags))


def clip_jumps(data: Any, groupdq: Any, gain: Any, settings: JumpSettings) -> None:
    """Flag in ``groupdq``, in place, the jumps that sigma clipping finds, and no neighbours.

    Parameters
    ----------
    data, groupdq, gain, settings
        As for `find_jumps`, of any rows of an exposure.
    """
    search.clip_jumps(implementation(__name__, data, groupdq, gain), data, groupdq, gain, settings)


def find_jumps(
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    settings: JumpSettings,
    surroundings: Surroundings | None = None,
) -> JumpCount:
    """Flag jumps JUMP_DET in ``groupdq``, in place.

    A pixel's differences of successive groups, in electrons, should scatter around their median
    ``m`` with the variance ``|m| + readnoise**2 / frames_averaged``; a difference far out is a
    jump in its second group. Samples that are SATURATED, DO_NOT_USE or NaN give no difference.
    There are three methods, and one serves all pixels:

    * *iterative*, for few differences: of the absolute differences the largest is left out (four
      or more), the median taken (three; the smaller one of two), and the difference farthest from
      it flagged and removed if beyond the threshold; then again with what remains, until nothing
      is beyond it. Integrations are taken together.
    * *single pass*: all differences beyond the threshold around the median of all.
    * *sigma clipping*, for many integrations: no noise model, but clipping around the median by
      multiples of the standard deviation, up to five times.

    Then come the neighbours in the same group, then the groups after large jumps. SATURATED and
    DO_NOT_USE samples are never flagged, and lose a JUMP_DET that they came with.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        Samples up the ramp, in DN. Not changed.
    groupdq : array, (ints, groups, y, x) uint8
        Flags of each sample.
    gain : array, (y, x) float32
        In electrons per DN. Pixels without one (NaN) have no jumps.
    readnoise : array, (y, x) float32
        Noise of a difference of two frames, in DN.
    settings : JumpSettings
    surroundings : Surroundings, optional
        Of an exposure of which these are some rows, with one more on either side, or up to the
        edge. The flags of these outer rows are not to be used.

    Returns
    -------
    JumpCount

    References
    ----------
    Anderson & Gordon 2011, PASP 123, 1237. "Jump Detection" in the JWST calibration documents;
    sigma clipping, the single pass and the noise of several integrations as in release 3.0.
    """
    body = implementation(__name__, data, groupdq, gain, readnoise)
    return search.find_jumps(body, data, groupdq, gain, readnoise, settings, surroundings)
