"""Products: official data models from our arrays, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from jwgpu.errors import ProductError
from jwgpu.models import behind
from jwgpu.models.ramp import Ramp
from jwgpu.models.rates import RampFitOutput, Rates
from jwgpu.models.stored_model import StoredModel, stored_ramp
from jwgpu.models.stored_planes import StoredPlanes

log = logging.getLogger(__name__)

_RATE_ARRAYS = ("data", "dq", "err", "var_poisson", "var_rnoise")

#: What to do about the reasons for which a file cannot be written.
_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, or choose another --output-dir",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another --output-dir",
    errno.EACCES: "the folder is not writable; choose another --output-dir",
    errno.EROFS: "the disk is read-only; choose another --output-dir",
    errno.ENOENT: "the folder does not exist; make it, or choose another --output-dir",
}


def save_product(model: Any, path: str | Path) -> str:
    """Write an official data model to `path`, whole or not at all.

    The file is written beside its final name and renamed when complete, so that whatever
    interrupts the writing leaves an older product as it was.

    Parameters
    ----------
    model : JwstDataModel
        What to write.
    path : str or Path
        Final name, ``.fits`` or ``.asdf``.

    Returns
    -------
    str
        The name written.

    Raises
    ------
    ProductError
        If the file cannot be written.
    """
    final = Path(path)
    # A folder, so that the unfinished file has its final name: the model writes it into the file.
    unfinished = final.parent / f".{final.name}.{os.getpid()}" / final.name
    try:
        unfinished.parent.mkdir()
        model.save(str(unfinished))
        os.replace(unfinished, final)
    except OSError as error:
        advice = _advice(error) or f"writing failed ({error})"
        raise ProductError(f"{final}: cannot be written: {advice}") from error
    finally:
        shutil.rmtree(unfinished.parent, ignore_errors=True)
    return str(final)


class TableProduct:
    """A table that `save_product` can write.

    Parameters
    ----------
    table : astropy.table.Table
    kind : str
        Its format, as `astropy.table` calls it.
    """

    def __init__(self, table: Any, kind: str = "ascii.ecsv") -> None:
        self.table, self.kind = table, kind

    def save(self, path: str) -> None:
        """Write the table."""
        self.table.write(path, format=self.kind, overwrite=True)


class WholeProduct:
    """An official data model whose `save` is `save_product`, for stpipe, which names products.

    Parameters
    ----------
    model : JwstDataModel
        The product.
    is_final : bool
        Whether nobody changes the model any more, so that it may be written later.
    """

    def __init__(self, model: Any, *, is_final: bool = False) -> None:
        self.model = model
        self.meta = model.meta
        self.is_final = is_final

    def save(self, path: str) -> str:
        """Write the model to `path`, whole or not at all."""
        writer = behind.current() if self.is_final else None
        if writer is None:
            return save_product(self.model, path)
        writer.do(save_product, self.model, path)
        return str(path)


def model_of_rates(rates: Rates) -> Any:
    """Return the official model of `rates`, with its arrays (which must be on the host).

    Of rates in files it is a `StoredModel`.
    """
    if isinstance(rates.data, StoredPlanes):
        return StoredModel(rates.model, {name: getattr(rates, name) for name in _RATE_ARRAYS})
    for name in _RATE_ARRAYS:
        setattr(rates.model, name, getattr(rates, name))
    return rates.model


def describe_rate(ramp: Ramp, rate: Rates) -> None:
    """Give the exposure's count rate the official model of its product, without the arrays."""
    from stdatamodels.jwst import datamodels

    model_class = datamodels.IFUImageModel if _is_ifu(ramp.meta) else datamodels.ImageModel
    rate.model = _description(model_class(), ramp)


def describe_rateints(ramp: Ramp, rateints: Rates) -> None:
    """Give the rates by integration the official model of their product, without the arrays."""
    from stdatamodels.jwst import datamodels

    rateints.model = _description(datamodels.CubeModel(), ramp)
    for table in ("int_times", "int_times_stripe"):
        if table in ramp.model.instance:
            setattr(rateints.model, table, ramp.model[table])


def fitopt_model(ramp: Ramp, output: RampFitOutput) -> Any:
    """Return the official model of the segment-by-segment results of ramp fitting (``fitopt``)."""
    from stdatamodels.jwst import datamodels

    arrays = vars(output)
    stored = {name: one for name, one in arrays.items() if isinstance(one, StoredPlanes)}
    in_memory = {name: one for name, one in arrays.items() if name not in stored}
    model = datamodels.RampFitOutputModel(**in_memory)
    model.meta.filename = ramp.meta.filename
    model.update(ramp.model)
    return StoredModel(model, stored) if stored else model


def intermediate_model(exposure: Ramp | Rates, data: Any) -> Any:
    """Return an official model of what a step found on its way, described as `exposure` is.

    Parameters
    ----------
    exposure : Ramp or Rates
    data : array, (y, x), (ints, y, x) or (ints, groups, y, x), or StoredPlanes of the last shape
        On the host.
    """
    from stdatamodels.jwst import datamodels

    classes = {2: datamodels.ImageModel, 3: datamodels.CubeModel, 4: datamodels.RampModel}
    if isinstance(data, StoredPlanes):
        model = datamodels.RampModel()
        model.update(exposure.model)
        return stored_ramp(model, data)
    model = classes[data.ndim](data=data)
    model.update(exposure.model)
    return model


def chi_square_model(ramp: Ramp, chi_square: Any) -> Any:
    """Return the official model of chi-square of a likelihood fit (``likely_chisq``)."""
    from stdatamodels.jwst import datamodels

    model = datamodels.ImageModel(chi_square.shape)
    model.update(ramp.model)
    model.data = chi_square
    return model


def _description(model: Any, ramp: Ramp) -> Any:
    model.update(ramp.model)
    model.meta.bunit_data = "DN/s"
    model.meta.bunit_err = "DN/s"
    return model


def _is_ifu(meta: Any) -> bool:
    exposure_type = meta.exposure.type
    is_lamp = exposure_type in ("NRS_AUTOWAVE", "NRS_LAMP") and meta.instrument.lamp_mode == "IFU"
    return exposure_type in ("NRS_IFU", "MIR_MRS") or is_lamp


def _advice(error: BaseException | None) -> str | None:
    """Say what to do about whatever lies behind an `error` in writing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _ADVICE:
            return _ADVICE[error.errno]
        error = error.__cause__ or error.__context__
    return None
