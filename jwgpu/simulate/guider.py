"""Exposures that the guider takes to find and follow a star, and their reference files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jwgpu.errors import ParameterError
from jwgpu.models import flags as dq
from jwgpu.simulate import Dataset
from jwgpu.simulate.detector_maps import detector_maps
from jwgpu.simulate.exposure import Simulation, simulate_exposure
from jwgpu.simulate.keywords import level1b_keywords
from jwgpu.simulate.references import write_references
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.writing import quiet_models, save_reproducibly

#: Function of the guider: word in the file name, window, integrations and groups.
MODES: dict[str, tuple[str, tuple[int, int, int, int], int, int]] = {
    "FGS_ID-IMAGE": ("gs-id_1_image-uncal", (1, 13, 2048, 2024), 2, 2),
    "FGS_ID-STACK": ("gs-id_1_stacked-uncal", (1, 1, 2048, 2304), 2, 2),
    "FGS_ACQ1": ("gs-acq1_2022221120000_uncal", (961, 961, 128, 128), 6, 2),
    "FGS_ACQ2": ("gs-acq2_2022221120000_uncal", (1009, 1009, 32, 32), 5, 2),
    "FGS_TRACK": ("gs-track_2022221120000_uncal", (1009, 1009, 32, 32), 100, 2),
    "FGS_FINEGUIDE": ("gs-fg_2022221120000_uncal", (1021, 1021, 8, 8), 100, 8),
}

_FOWLER_READS = 4
_TABLE_ROWS = 3


def make_guider_dataset(folder: str | Path, mode: str, **settings: Any) -> Dataset:
    """Simulate a guide star exposure and write it with its reference files.

    Parameters
    ----------
    folder : str or Path
        The exposure goes here, the reference files into ``references`` below.
    mode : str
        EXP_TYPE: one of `MODES`. The strips of FGS_ID-STACK are those of any part of the detector:
        the last rows repeat the first.
    **settings
        Fields of `Settings`; window, nints and ngroups are the usual ones of the mode if not given.

    Returns
    -------
    Dataset

    Raises
    ------
    ParameterError
        If there is no such mode.
    """
    if mode not in MODES:
        raise ParameterError(f"no guiding function {mode!r}; choose one of: {', '.join(MODES)}")
    word, window, nints, ngroups = MODES[mode]
    given = {"window": window, "nints": nints, "ngroups": ngroups, **settings}
    butted = 0
    if mode == "FGS_ID-STACK":
        x, y, columns, rows = given["window"]
        butted = rows // 9  # of each strip of 64 rows 8 are seen twice, nearly
        given["window"] = (x, y, columns, rows - butted)
    chosen = Settings(instrument="FGS", exp_type=mode, **given)
    simulation = simulate_exposure(chosen)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"jw09999001001_{word}.fits"
    _write_raw(simulation, path, butted)
    types = ("mask", "gain", "readnoise")
    references = write_references(chosen, folder / "references", types=types)
    flat = folder / "references" / f"jwst_fgs_flat_{chosen.camera.name.lower()}.fits"
    _write_flat(chosen, flat)
    references["flat"] = flat
    if butted:
        references["mask"] = _write_butted_mask(chosen, references["mask"], butted)
    return Dataset(path, references, simulation.truth, chosen)


def _write_raw(simulation: Simulation, path: Path, butted: int) -> None:
    from stdatamodels.jwst import datamodels

    settings = simulation.settings
    data = simulation.data.astype(np.float32)
    if butted:
        data = np.concatenate([data, data[:, :, :butted]], axis=2)
    with quiet_models(), datamodels.GuiderRawModel() as model:
        model.data = data
        for place, value in level1b_keywords(settings).items():
            model[place] = value
        model.meta.subarray.ysize = data.shape[2]
        if settings.exp_type == "FGS_FINEGUIDE":
            # From the first reads to the last: what the difference of their means is divided by.
            apart = settings.ngroups - _FOWLER_READS
            model.meta.exposure.group_time = apart * settings.group_time
        model.meta.bunit_data = "DN"
        for name in _tables_of(str(settings.exp_type)):
            setattr(model, name, _table(model.get_dtype(name), settings.seed))
        save_reproducibly(model, path)


def _tables_of(mode: str) -> tuple[str, ...]:
    """Return the tables that the products of a guiding function hold."""
    if mode.startswith("FGS_ID"):
        return ("planned_star_table", "flight_star_table")
    if mode.startswith("FGS_ACQ"):
        return ()
    followed = ("pointing_table", "centroid_table")
    return (*followed, "track_sub_table") if mode == "FGS_TRACK" else followed


def _table(dtype: np.dtype[Any], seed: int) -> NDArray[np.void]:
    rng = np.random.default_rng(seed)
    table = np.zeros(_TABLE_ROWS, dtype=dtype)
    for name in dtype.names or ():
        kind = dtype[name].kind
        if kind in "if":
            table[name] = rng.uniform(0, 100, _TABLE_ROWS).round(3)
        else:
            table[name] = b"NO"
    return table


def _write_flat(settings: Settings, path: Path) -> None:
    """Write a flat field: 1 but for pixels that are dead (NaN) or without a value (0)."""
    from stdatamodels.jwst import datamodels

    maps = detector_maps(settings)
    rng = np.random.default_rng(settings.detector_seed)
    response = rng.normal(1.0, 0.02, settings.place.shape).astype(np.float32)
    response[(maps.flags & dq.DEAD) != 0] = np.nan
    response[(maps.flags & dq.HOT) != 0] = 0.0
    with quiet_models(), datamodels.FlatModel(data=response) as model:
        model.err = np.full_like(response, 0.01)
        model.dq = np.where(maps.flags & dq.LOW_QE, dq.NO_FLAT_FIELD, 0).astype(np.uint32)
        meta = model.meta
        meta.reftype, meta.author, meta.pedigree = "FLAT", "jwgpu", "SIMULATION"
        meta.description = f"Simulated flat of {settings.camera.name}"
        meta.useafter = "2015-01-01T00:00:00"
        meta.instrument.name, meta.instrument.detector = "FGS", settings.camera.name
        place = settings.place
        meta.subarray.name = place.name
        meta.subarray.xstart, meta.subarray.ystart = place.xstart, place.ystart
        meta.subarray.xsize, meta.subarray.ysize = place.xsize, place.ysize
        save_reproducibly(model, path)


def _write_butted_mask(settings: Settings, mask: Path, butted: int) -> Path:
    """Write the mask again, of the rows as they are butted together."""
    from stdatamodels.jwst import datamodels

    with quiet_models(), datamodels.MaskModel(mask) as model:
        model.dq = np.concatenate([model.dq, model.dq[:butted]])
        model.meta.subarray.ysize = model.dq.shape[0]
        model.meta.exposure.type = settings.exp_type
        save_reproducibly(model, mask)
    return mask
