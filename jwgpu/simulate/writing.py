"""Write a simulated exposure as JWST's ground system does (``_uncal.fits``, level 1b)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.simulate.exposure import Simulation
from jwgpu.simulate.keywords import file_root, integration_times, level1b_keywords
from jwgpu.simulate.settings import Settings

_SECONDS_PER_DAY = 86400.0
_DATE = "2022-08-10T00:00:00.000"
# Barycentric times differ from the spacecraft's by the light's way; a constant will do.
_BARYCENTRIC_DELAY = 200.0


@contextlib.contextmanager
def quiet_models() -> Iterator[None]:
    """Keep stdatamodels from warning of keywords that only real observations have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def save_reproducibly(model: Any, path: Path) -> None:
    """Save a data model with the date of its exposure, not of its making: same seed, same bytes."""
    usual = model.on_save

    def on_save(name: str) -> None:
        usual(name)
        model.meta.date = _DATE

    # Assigning an attribute would put the function into the metadata tree.
    vars(model)["on_save"] = on_save
    model.save(str(path))


def _group_table(settings: Settings, dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Make the GROUP table: when each group ended."""
    table = np.zeros(settings.nints * settings.ngroups, dtype=dtype)
    starts = integration_times(settings)[:, 0]
    nframes, gap = settings.pattern.nframes, settings.pattern.groupgap
    groups = np.arange(settings.ngroups)
    frames = groups * (nframes + gap) + nframes
    ends = starts[:, None] + frames[None, :] * settings.frame_time / _SECONDS_PER_DAY
    days = ends.ravel()
    milliseconds = np.round((days % 1.0) * _SECONDS_PER_DAY * 1000.0).astype(np.int64)
    epoch = np.datetime64("1858-11-17T00:00:00.000")
    stamps = epoch + (np.floor(days).astype(np.int64) * 86400000 + milliseconds).astype(
        "timedelta64[ms]"
    )
    table["integration_number"] = np.repeat(np.arange(1, settings.nints + 1), settings.ngroups)
    table["group_number"] = np.tile(groups + 1, settings.nints)
    # Days are counted from 2000-01-01.
    table["end_day"] = np.floor(days) - 51544
    table["end_milliseconds"] = milliseconds
    table["group_end_time"] = [str(stamp).encode("ascii") for stamp in stamps]
    table["number_of_columns"] = settings.place.xsize
    table["number_of_rows"] = settings.place.ysize
    table["completion_code_text"] = b"COMPLETE"
    delay = _BARYCENTRIC_DELAY / _SECONDS_PER_DAY
    table["bary_end_time"] = days + delay
    table["helio_end_time"] = days + delay
    return table


def _integration_table(settings: Settings, dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Make the INT_TIMES table: when each integration began and ended."""
    table = np.zeros(settings.nints, dtype=dtype)
    times = integration_times(settings)
    table["integration_number"] = np.arange(1, settings.nints + 1)
    for column, part in enumerate(("start", "mid", "end")):
        table[f"int_{part}_MJD_UTC"] = times[:, column]
        table[f"int_{part}_BJD_TDB"] = times[:, column] + _BARYCENTRIC_DELAY / _SECONDS_PER_DAY
    return table


def write_exposure(
    simulation: Simulation,
    folder: str | Path,
    name: str | None = None,
    keywords: Mapping[str, Any] | None = None,
) -> Path:
    """Write a raw exposure.

    Parameters
    ----------
    simulation : Simulation
    folder : str or Path
        Where to; made if it is not there.
    name : str, optional
        File name; by default one that names program, exposure and detector, ending in
        ``_uncal.fits``.
    keywords : mapping, optional
        Place in the metadata tree to value, over the usual ones.

    Returns
    -------
    Path
        The file.
    """
    settings = simulation.settings
    path = Path(folder) / (name or file_root(settings) + "_uncal.fits")
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        "SCI": simulation.data,
        "ZEROFRAME": simulation.zeroframe,
        "REFOUT": simulation.refout,
    }
    write_model(settings, path, arrays, keywords)
    return path


def write_model(
    settings: Settings,
    path: Path,
    arrays: Mapping[str, Any],
    keywords: Mapping[str, Any] | None = None,
) -> None:
    """Write raw counts with the keywords and tables of an exposure.

    Parameters
    ----------
    settings : Settings
    path : Path
        The file.
    arrays : mapping
        By the names of the extensions: SCI and, if there are any, ZEROFRAME and REFOUT.
    keywords : mapping, optional
        See `write_exposure`.
    """
    from stdatamodels.jwst import datamodels

    with quiet_models(), datamodels.Level1bModel() as model:
        model.data = arrays["SCI"]
        for name in ("zeroframe", "refout"):
            if arrays.get(name.upper()) is not None:
                setattr(model, name, arrays[name.upper()])
        model.group = _group_table(settings, model.get_dtype("group"))
        model.int_times = _integration_table(settings, model.get_dtype("int_times"))
        for place, value in {**level1b_keywords(settings), **(keywords or {})}.items():
            model[place] = value
        model.meta.bunit_data = "DN"
        save_reproducibly(model, path)
