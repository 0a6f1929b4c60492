"""Exposures on their way between the host and a device."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from jwgpu.backends import Device


def send(exposure: Any, device: Device) -> Any:
    """Return an exposure with its arrays on a device.

    Parameters
    ----------
    exposure : Ramp, Rates or another dataclass of arrays; or a tuple of them
        Left as it is. What is still in its file stays there, and so does a library of images.
    device : Device
    """
    if device.xp is np:
        return exposure
    if isinstance(exposure, tuple):
        return tuple(send(one, device) for one in exposure)
    if not is_dataclass(exposure) or isinstance(exposure, type):
        return exposure
    arrays = {
        field.name: getattr(exposure, field.name)
        for field in fields(exposure)
        if isinstance(getattr(exposure, field.name), np.ndarray)
    }
    return replace(exposure, **{name: device.send(array) for name, array in arrays.items()})


def fetch(result: Any, device: Device) -> Any:
    """Return what a step made, with its arrays on the host.

    Parameters
    ----------
    result : array, Ramp, Rates or another dataclass of arrays; a tuple of them; None
        Left as it is.
    device : Device
    """
    if device.xp is np:
        return result
    if isinstance(result, tuple):
        return tuple(fetch(one, device) for one in result)
    if isinstance(result, device.xp.ndarray):
        return device.fetch(result)
    if not is_dataclass(result) or isinstance(result, type):
        return result
    arrays = {
        field.name: getattr(result, field.name)
        for field in fields(result)
        if isinstance(getattr(result, field.name), device.xp.ndarray)
    }
    return replace(result, **{name: device.fetch(array) for name, array in arrays.items()})
