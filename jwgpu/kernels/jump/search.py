"""The order of a search for jumps, the same on every device.

``body`` is the module of the device. The host waits for it twice: for the groups that are of no
use, which decide the method; and for the count of jumps at the end.
"""

from __future__ import annotations

from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.kernels.jump.limits import ITERATIVE, MARK_ONLY, SINGLE_PASS, AfterJump, Limits
from jwgpu.kernels.jump.settings import JumpCount, JumpSettings, Surroundings
from jwgpu.models.flags import DO_NOT_USE, JUMP_DET


def is_clipped(shape: tuple[int, ...], is_unusable: Any, settings: JumpSettings) -> bool:
    """Return whether an exposure of this shape is searched by sigma clipping.

    Parameters
    ----------
    shape : tuple of int
        (ints, groups, y, x).
    is_unusable : array, (ints, groups) bool
        Groups of which every pixel is DO_NOT_USE.
    settings : JumpSettings
    """
    if settings.only_use_ints:
        return shape[0] >= settings.minimum_sigclip_groups
    return bool((~is_unusable).sum() >= settings.minimum_sigclip_groups)


def choose_method(is_unusable: Any, settings: JumpSettings) -> int | None:
    """Return the method for these unusable groups, (ints, groups) bool; None: too few are left.

    Where sigma clipping finds the jumps, what remains to be done is MARK_ONLY.
    """
    if is_clipped(is_unusable.shape, is_unusable, settings):
        return MARK_ONLY
    n_groups = is_unusable.shape[1]
    least_usable = n_groups - int(is_unusable.sum(axis=1).max())
    if least_usable < settings.minimum_groups:
        return None
    return SINGLE_PASS if least_usable - 1 >= settings.min_diffs_single_pass else ITERATIVE


def clip_jumps(body: Any, data: Any, groupdq: Any, gain: Any, settings: JumpSettings) -> None:
    """See the package."""
    step = data.shape[1] - 1 if settings.only_use_ints else 1
    body.clip_jumps(data, groupdq, gain, float(settings.rejection_threshold), step)


def find_jumps(
    body: Any,
    data: Any,
    groupdq: Any,
    gain: Any,
    readnoise: Any,
    settings: JumpSettings,
    surroundings: Surroundings | None,
) -> JumpCount:
    """See the package."""
    xp = namespace_of(groupdq)
    if surroundings is None:
        is_unusable = on_host(body.full_groups(groupdq, DO_NOT_USE))
    else:
        is_unusable = surroundings.is_unusable
    unusable_groups = int(is_unusable.sum())
    method = choose_method(is_unusable, settings)
    if method is None:
        body.clear_unusable(groupdq)
        return JumpCount(None, unusable_groups)
    if method == MARK_ONLY:
        clip_jumps(body, data, groupdq, gain, settings)
        if surroundings is None:
            is_full = body.full_groups(groupdq, JUMP_DET | DO_NOT_USE)
        else:
            is_full = xp.asarray(surroundings.is_full)
        body.clear_full_groups(groupdq, is_full)
    limits, after = limits_for(method, settings), after_jump(settings)
    n_jumps = on_host(body.flag_jumps(data, groupdq, gain, readnoise, limits, after))
    own = slice(None) if surroundings is None else slice(*surroundings.rows)
    return JumpCount(int(n_jumps[own].sum()), unusable_groups)


def limits_for(method: int, settings: JumpSettings) -> Limits:
    """Return the numbers that decide, for one of the methods."""
    return Limits(
        method=method,
        frames_averaged=float(settings.frames_averaged),
        rejection=float(settings.rejection_threshold),
        three_differences=float(settings.four_group_threshold),
        two_differences=float(settings.three_group_threshold),
        flag_neighbors=bool(settings.flag_4_neighbors),
        neighbors_above=float(settings.min_jump_to_flag_neighbors),
        neighbors_below=float(settings.max_jump_to_flag_neighbors),
    )


def after_jump(settings: JumpSettings) -> AfterJump | None:
    """Return what is flagged after large jumps, if anything is."""
    if max(settings.after_jump_groups) <= 0:
        return None
    electrons, groups = settings.after_jump_electrons, settings.after_jump_groups
    return AfterJump(float(electrons[0]), int(groups[0]), float(electrons[1]), int(groups[1]))


def on_host(array: Any) -> Any:
    """Return a small array where Python can look at it; waits for the device."""
    xp = namespace_of(array)
    return xp.asnumpy(array) if hasattr(xp, "asnumpy") else array
