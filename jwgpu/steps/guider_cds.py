"""Make count rates of the guider's samples."""

from __future__ import annotations

import warnings
from typing import Any

from jwgpu.backends import namespace_of
from jwgpu.errors import InputError
from jwgpu.models import guider
from jwgpu.models.guider import GuiderRates, GuiderRaw
from jwgpu.references.types import GainReference, ReadNoiseReference
from jwgpu.steps.base import INTEGRATIONS, CalibrationStep

#: Reads that are averaged at either end of an integration in fine guiding.
_FOWLER_READS = 4


class GuiderCdsStep(CalibrationStep):
    """Subtract each integration's first read from its last, as the guider does on board."""

    class_alias = "guider_cds"
    cut = INTEGRATIONS

    def open(self, source: Any) -> GuiderRaw:
        """Open a file, or wrap an official data model, as samples of the guider."""
        return guider.open_raw(source)

    def as_model(self, exposure: GuiderRaw | GuiderRates) -> Any:
        """Return the exposure as an official `GuiderRawModel` or `GuiderCalModel`."""
        return guider.model_of(exposure)

    def reopen(self, models: Any) -> GuiderRaw | GuiderRates:
        """Return what `close` returned, as `apply` returned it."""
        return guider.open_rates(models) if models.data.ndim == 3 else guider.open_raw(models)

    def correct(
        self, raw: GuiderRaw, gain: GainReference, readnoise: ReadNoiseReference
    ) -> GuiderRates:
        """Return count rates and their errors.

        In fine guiding, four reads at either end are averaged. Identification takes the smaller
        difference of its two integrations.

        Parameters
        ----------
        raw : GuiderRaw
            Samples.
        gain : GainReference
            In electrons per DN.
        readnoise : ReadNoiseReference
            Of a difference of two reads, in DN.

        Returns
        -------
        GuiderRates

        Raises
        ------
        InputError
            If reads or integrations are missing, or the time between groups.
        """
        kind = str(raw.meta.exposure.type).upper()
        seconds = _group_time(raw, kind)
        xp = namespace_of(raw.data)
        if kind == "FGS_FINEGUIDE":
            last = _mean_of_reads(raw.data[:, -_FOWLER_READS:])
            difference = last - _mean_of_reads(raw.data[:, :_FOWLER_READS])
        else:
            difference = raw.data[:, 1] - raw.data[:, 0]
        if kind.startswith("FGS_ID"):
            difference = xp.minimum(difference[1], difference[0])[None]
        # As officially: the difference is not yet divided by the time, as the document wants it, so
        # that this part is right for groups of one second only; and READNOISE, which is that of a
        # difference of two reads already, is doubled.
        noise = readnoise.data / seconds
        by_reads = 2 * (noise * noise)
        with warnings.catch_warnings():
            # Where the gain is zero, the error is infinite.
            warnings.filterwarnings("ignore", "divide by zero|invalid value", RuntimeWarning)
            by_photons = difference / (gain.data * seconds)
        by_photons = xp.where(by_photons < 0, xp.zeros_like(by_photons), by_photons)
        rates = guider.rates_of(raw, difference / seconds, xp.sqrt(by_reads + by_photons))
        self.set_status(rates, "COMPLETE")
        return rates


def _mean_of_reads(data: Any) -> Any:
    """Return the mean over the groups, added up one by one: the same numbers on every device."""
    total = data[:, 0]
    for group in range(1, data.shape[1]):
        total = total + data[:, group]
    return total / data.shape[1]


def _group_time(raw: GuiderRaw, kind: str) -> float:
    """Return the seconds from group to group, after checking that the reads are there."""
    name, (ints, groups) = raw.meta.filename, raw.data.shape[:2]
    if groups < 2:
        raise InputError(f"{name}: {groups} group is no difference of two reads; check NGROUPS")
    if kind.startswith("FGS_ID") and ints != 2:
        raise InputError(f"{name}: {kind} takes 2 integrations, here are {ints}; check NINTS")
    if not raw.meta.exposure.group_time:
        raise InputError(f"{name}: keyword TGROUP is missing; restore it")
    return float(raw.meta.exposure.group_time)
