"""Outliers of dithered images: each beside the median of all of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.kernels.blot import blot
from jwgpu.kernels.outliers import Limits, flag_blotted, flag_stacked
from jwgpu.models.images import Image, mark_invalid
from jwgpu.models.library import Library
from jwgpu.models.mosaics import Mosaic, model_of_mosaic, new_model
from jwgpu.runner.session import Session
from jwgpu.steps.outlier_median import Stack, Window, least_weight
from jwgpu.steps.resample import name_exposure
from jwgpu.steps.resampler import Options, Resampler, weight_of
from jwgpu.wcs.cut_grid import part_of, reach_on
from jwgpu.wcs.output import OutputGrid, grid_around
from jwgpu.wcs.pixel_map import pixel_map

log = logging.getLogger(__name__)

#: Pixels of the grid around an image that its outer pixels may reach.
_MARGIN = 4


@dataclass(frozen=True)
class Settings:
    """How outliers are found.

    Attributes
    ----------
    limits : Limits
    fraction : float
        Of the mean weight, which a pixel needs to count in the median.
    sky : float
        What images have above the median everywhere, where their keywords do not tell.
    resampling : Options
        How they are put on a common grid.
    """

    limits: Limits
    fraction: float
    sky: float
    resampling: Options


#: Arrays of an image that need not travel: to be resampled, and to be compared.
_NOT_COMPARED: dict[str, Any] = dict.fromkeys(("var_poisson", "var_rnoise", "var_flat", "area"))
_NOT_RESAMPLED: dict[str, Any] = dict.fromkeys(("err", "var_poisson", "var_flat", "area"))

#: What is resampled. What flags change; all else, which they make NaN, can be read from its file.
_RESAMPLED = ("data", "dq", "var_rnoise")
_CHANGED = ("data", "dq")


class Saver(Protocol):
    """Saves an intermediate product."""

    def __call__(self, model: Any, suffix: str, *, has_identifier: bool = False) -> None:
        """Save a model under its name with another suffix, and the association's identifier."""


def flag_dithered(
    images: Library, settings: Settings, save: Saver | None, session: Session
) -> None:
    """Flag the outliers of images of a field, each with a pointing of its own.

    Parameters
    ----------
    images : Library
        Calibrated, with their geometry.
    settings : Settings
    save : Saver, optional
        Takes what is made on the way.
    session : Session
        Whose device computes.
    """
    room = session.where_there_is_room
    grid, medians = room(lambda: _median_on_grid(images, settings, save, session))
    options = settings.resampling

    def flag(image: Image) -> None:
        shape = image.data.shape
        sent = session.send(replace(image, **_NOT_COMPARED))
        xp = namespace_of(sent.data)
        blotted = xp.empty(shape, xp.float32)
        places = pixel_map(image.wcs, grid.wcs, shape, options.step, options.order, xp)
        blot(session.device.send(medians), places, blotted)
        if save is not None:
            _save_blotted(image, session.fetch(blotted), save)
        counts = xp.zeros(shape[0], xp.int32)
        sky = _sky_of(image, settings.sky)
        flag_blotted(sent.data, sent.err, blotted, sky, settings.limits, sent.dq, counts)
        _take_flags(image, sent.dq, counts, session)

    exhaust(images.map(lambda image, _: room(lambda: flag(image)), _CHANGED, amend=mark_invalid))


def _median_on_grid(
    images: Library, settings: Settings, save: Saver | None, session: Session
) -> tuple[OutputGrid, Any]:
    """Resample each exposure, one after the other; return their grid and, on the host, median."""
    models: list[Any] = []
    images.describe(lambda model, _: models.append(model))
    metas = [model.meta for model in models]
    grid = grid_around(metas, _shape_of(images))
    s_regions = [meta.wcsinfo.s_region for meta in metas]
    whole = Window(0, grid.shape[0], 0, grid.shape[1])
    is_whole = save is not None or not math.isnan(settings.resampling.fill)
    stack = Stack(grid.shape, images.in_memory)
    median_model = None
    for number, (group, indices) in enumerate(images.groups.items(), start=1):
        window = whole if is_whole else _window_of(grid, [metas[index].wcs for index in indices])
        part = grid if window == whole else part_of(grid, *window)
        resampler = Resampler(part, settings.resampling, s_regions)
        mosaic = _resampled(images, indices, resampler, session)
        del resampler
        if save is not None:
            fetched = session.fetch(mosaic)
            name_exposure(fetched, str(metas[indices[0]].filename), group, number)
            model = model_of_mosaic(fetched)
            save(model, "outlier_i2d")
            median_model = median_model or new_model(model)
        limit = least_weight(mosaic.wht, settings.fraction)
        mosaic.data[mosaic.wht < limit] = np.nan
        stack.add(session.fetch(mosaic.data), window)
        del mosaic
    medians = session.fetch(stack.median(session.device))
    if save is not None:
        _save_median(median_model, medians, grid.wcs, save, has_identifier=True)
    return grid, medians


def _resampled(
    images: Library, indices: list[int], resampler: Resampler, session: Session
) -> Mosaic:
    """Put the images of an exposure on a grid."""
    with images:
        for index in indices:
            image = images.borrow(index, *_RESAMPLED)
            resampler.add(session.send(replace(image, **_NOT_RESAMPLED)))
            images.shelve(image, index, modify=False)
            del image
    return resampler.finish()


def _window_of(grid: OutputGrid, geometries: list[Any]) -> Window:
    """Return the part of a grid that images may fall on."""
    reaches = np.array([reach_on(grid, wcs) for wcs in geometries])
    n_y, n_x = grid.shape
    if not np.isfinite(reaches).all():
        return Window(0, n_y, 0, n_x)
    low = np.floor(reaches[:, 0].min(axis=0)).astype(int) - _MARGIN
    high = np.ceil(reaches[:, 1].max(axis=0)).astype(int) + _MARGIN + 1
    left, bottom = np.clip(low, 0, [n_x - 2, n_y - 2])
    right, top = np.clip(high, [left + 2, bottom + 2], [n_x, n_y])
    return Window(int(bottom), int(top), int(left), int(right))


def flag_aligned(images: Library, settings: Settings, save: Saver | None, session: Session) -> None:
    """Flag the outliers of images that see the same with the same pixels.

    Parameters
    ----------
    images : Library
        All of one shape.
    settings : Settings
    save : Saver, optional
        Takes what is made on the way.
    session : Session
        Whose device computes.
    """
    shape = _shape_of(images)
    stack = Stack(shape, images.in_memory)
    resampling = settings.resampling
    first: list[Any] = []
    room = session.where_there_is_room

    def add(image: Image) -> None:
        if image.data.shape != shape:
            raise InputError(
                f"{image.meta.filename}: SCI has the shape {image.data.shape}, the first image "
                f"{shape}; without resample_data all must have the same pixels"
            )
        if save is not None and not first:
            first.append(new_model(image.model))
        sent = session.send(replace(image, **_NOT_RESAMPLED))
        weight = weight_of(sent, resampling.weight_type, resampling.bad_flags)
        xp = namespace_of(weight)
        nothing = xp.asarray(np.float32(np.nan))
        is_light = weight < least_weight(weight, settings.fraction)
        stack.add(session.fetch(xp.where(is_light, nothing, sent.data)))

    exhaust(images.map(lambda image, _: room(lambda: add(image)), False, _RESAMPLED))
    medians = room(lambda: session.fetch(stack.median(session.device)))
    if save is not None:
        _save_median(first[0], medians, first[0].meta.wcs, save)

    def flag(image: Image) -> None:
        sent = session.send(replace(image, **_NOT_COMPARED))
        xp = namespace_of(sent.data)
        counts = xp.zeros(shape[0], xp.int32)
        planes = (sent.data[None], sent.err[None], session.device.send(medians))
        flag_stacked(*planes, settings.limits.snr[0], sent.dq[None], counts)
        _take_flags(image, sent.dq, counts, session)

    exhaust(images.map(lambda image, _: room(lambda: flag(image)), _CHANGED, amend=mark_invalid))


def _take_flags(image: Image, dq: Any, counts: Any, session: Session) -> None:
    """Put the flags that a device found into an image."""
    if dq is not image.dq:
        image.dq[...] = session.fetch(dq)
    finish(image, session.fetch(counts))


def finish(image: Image, n_outliers: Any) -> None:
    """Make NaN of what was flagged, in all arrays, and tell how many there are."""
    mark_invalid(image)
    log.info("%s: %d pixels are outliers", image.meta.filename, int(n_outliers.sum()))


def exhaust(iterator: Iterator[Any]) -> None:
    """Go through an iterator to its end."""
    for _ in iterator:
        pass


def _shape_of(images: Library) -> tuple[int, int]:
    """Return rows and columns of the first image.

    Raises
    ------
    InputError
        If it is a series of them.
    """
    with images:
        first = images.borrow(0, "data")
        shape, name = first.data.shape, first.meta.filename
        images.shelve(first, 0, modify=False)
    if len(shape) != 2:
        raise InputError(f"{name}: SCI has {len(shape)} axes; give images, or one time series")
    n_y, n_x = shape
    return n_y, n_x


def _sky_of(image: Image, given: float) -> float:
    """Return the sky that resampling took off an image, and that it still has."""
    background = image.meta.background
    if background.subtracted is False and background.level is not None:
        return float(background.level)
    return given


def _save_median(
    model: Any, medians: Any, wcs: Any, save: Saver, *, has_identifier: bool = False
) -> None:
    model.meta.wcs = wcs
    model.data = medians
    save(model, "median", has_identifier=has_identifier)


def _save_blotted(image: Image, blotted: Any, save: Saver) -> None:
    model = type(image.model)()
    model.data = blotted
    model.update(image.model)
    save(model, "blot")
