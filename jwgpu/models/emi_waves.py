"""Writing waves of interference as an EMICORR reference."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jwgpu.models.writing import save_product


def write_emi_waves(
    path: Path,
    meta: Any,
    waves: Mapping[str, tuple[float, Any]],
    case: str,
    clocks: tuple[int, int],
) -> str:
    """Write waves that were found in an exposure as a reference for others like it.

    The official package names the case and the read pattern as the exposure's keywords do (FULL,
    FASTR1), which it does not find when it reads the file; here they are FULL_FAST, FAST.

    Parameters
    ----------
    path : Path
        Name of the file, ``.asdf``.
    meta : ObjectNode
        Metadata tree of the exposure.
    waves : mapping
        Name of a frequency to the frequency in Hz and one turn of its wave, (bins,) float64 in DN.
    case : str
        Name of the subarray case.
    clocks : tuple of int
        Cycles of the pixel clock from row to row and in a reset frame.

    Returns
    -------
    str
        The name written.
    """
    import numpy as np
    from stdatamodels.jwst import datamodels

    is_slow = "SLOW" in str(meta.exposure.readpatt).upper()
    names = list(waves)
    freqs = {"SLOW": {str(meta.instrument.detector): names}} if is_slow else {"FAST": names}
    with datamodels.EmiModel() as model:
        model.frequencies = {
            name: {"frequency": frequency, "phase_amplitudes": wave - np.median(wave)}
            for name, (frequency, wave) in waves.items()
        }
        model.subarray_cases = {
            case: {"rowclocks": clocks[0], "frameclocks": clocks[1], "freqs": freqs}
        }
        model.meta.reftype = "EMICORR"
        model.meta.author = "jwgpu"
        model.meta.description = "Waves of interference found in an exposure"
        model.meta.pedigree = "GROUND"
        model.meta.telescope = "JWST"
        model.meta.instrument.name = "MIRI"
        now = datetime.datetime.now(datetime.UTC)
        model.meta.useafter = str(meta.observation.date or now.strftime("%Y-%m-%d")) + "T00:00:00"
        return save_product(model, path)
