"""What bench/stage1.py measures: exposures, and one row of docs/stage1.md for each step.

A new step gets a line in `ROWS`; a step that needs another exposure names it in `CASES`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "small": {"instrument": "NIRCAM", "detector": "NRCB1", "subarray": "SUB160", "ngroups": 8},
    "small-miri": {"instrument": "MIRI", "subarray": "SUB128", "ngroups": 12, "nints": 2},
    "small-nirspec": {"instrument": "NIRSPEC", "subarray": "SUB512", "ngroups": 8},
    "nircam": {"instrument": "NIRCAM", "detector": "NRCA1", "ngroups": 10},
    "miri": {"instrument": "MIRI", "detector": "MIRIMAGE", "ngroups": 40, "nints": 2},
    "nirspec": {"instrument": "NIRSPEC", "detector": "NRS1", "readpatt": "NRSRAPID", "ngroups": 10},
    "irs2": {
        "instrument": "NIRSPEC",
        "detector": "NRS1",
        "readpatt": "NRSIRS2RAPID",
        "ngroups": 10,
    },
    "superstripe": {
        "instrument": "NIRISS",
        "subarray": "SUB204STRIPE_SOSS",
        "window": (2048, 1793, 208, 256),
        "stripes": (4, 0, 204, 0, 1, 1, 204, 10),
        "exp_type": "NIS_SOSS",
        "ngroups": 5,
    },
    "multistripe": {
        "instrument": "NIRCAM",
        "detector": "NRCA3",
        "subarray": "SUB164STRIPE4_DHS",
        "window": (1, 1, 2048, 164),
        "stripes": (1, 1000, 40, 80, 1, 1, 0, 0),
        "ngroups": 10,
    },
    "small-guider": {"guider": "FGS_FINEGUIDE"},
    "guider": {"guider": "FGS_ID-STACK"},
}
"""Exposures, as settings of `jwgpu.simulate`; ``guider`` is the function of a guider's exposure."""

GROUPS: dict[str, tuple[str, ...]] = {
    "small": ("small", "small-miri", "small-nirspec", "small-guider"),
    "full": ("nircam", "miri", "nirspec", "irs2", "guider"),
}
"""Names for several cases, as ``--case`` takes them; a case's own name means that case alone."""

NIRCAM, MIRI, NIRSPEC = ("small", "nircam"), ("small-miri", "miri"), ("small-nirspec", "nirspec")
GUIDER = ("small-guider", "guider")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: a step in one way of running it.

    Attributes
    ----------
    name
        What the table says: the alias, and in which way where there are several.
    cases
        The exposures that it can be measured on.
    parameters
        Of the step, for both packages.
    settings
        Of the simulation, over those of the case.
    official
        ``module:Class`` of the official step, where its pipeline does not have it. Such a step is
        given the count rates.

    A row of a guider's case is of the guider's pipeline, all others are of the first.
    """

    name: str
    cases: tuple[str, ...] = NIRCAM
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    official: str | None = None

    @property
    def alias(self) -> str:
        """The step: the first word of the name."""
        return self.name.split()[0].rstrip(",:")


ROWS: tuple[Row, ...] = (
    Row("group_scale", settings={"readpatt": "BRIGHT2", "frame_divisor": 4}),
    Row("dq_init"),
    Row("saturation"),
    Row("saturation, IRS2", cases=("irs2",)),
    Row("ipc"),
    Row("ipc, IRS2", cases=("irs2",)),
    Row("superbias"),
    Row("refpix"),
    Row("refpix, MIRI", cases=MIRI),
    Row("refpix, IRS2", cases=("irs2",)),
    Row("linearity"),
    Row("emicorr", cases=MIRI, settings={"interference": 8.0}),
    Row(
        "emicorr, sequential",
        cases=MIRI,
        parameters={"algorithm": "sequential"},
        settings={"interference": 8.0},
    ),
    Row("reset", cases=MIRI),
    Row("rscd", cases=MIRI),
    Row("firstframe", cases=MIRI),
    Row("lastframe", cases=MIRI),
    Row("dark_current"),
    Row("charge_migration"),
    Row("jump"),
    Row("jump, MIRI", cases=MIRI),
    Row(
        "jump, snowballs",
        parameters={"expand_large_events": True},
        settings={"snowballs": 20.0},
    ),
    Row("jump, showers", cases=MIRI, parameters={"find_showers": True}, settings={"showers": 10.0}),
    Row("persistence", parameters={"persistence_time": 60}),
    Row("clean_flicker_noise", settings={"flicker_noise": 6.0}),
    Row("clean_flicker_noise, MIRI", cases=MIRI),
    Row(
        "clean_flicker_noise, model",
        parameters={"background_method": "model"},
        settings={"flicker_noise": 6.0},
    ),
    Row(
        "clean_flicker_noise, waves",
        cases=NIRSPEC,
        parameters={"fit_method": "fft"},
        settings={"flicker_noise": 6.0},
    ),
    Row(
        "picture_frame",
        cases=("nirspec",),
        # Where NIRSpec's spectra fall takes world coordinates, with which both do the same.
        parameters={"mask_science_regions": False},
        settings={"picture_frame": 0.0005},
    ),
    *(
        Row(f"{alias}, superstripes", cases=("superstripe",))
        for alias in ("dq_init", "saturation", "superbias", "refpix")
    ),
    *(
        Row(f"{alias}, stripes", cases=("multistripe",))
        for alias in ("saturation", "refpix", "linearity", "jump")
    ),
    Row("ramp_fit"),
    Row("ramp_fit, MIRI", cases=MIRI),
    Row("ramp_fit, LIKELY", parameters={"algorithm": "LIKELY"}),
    Row("gain_scale", cases=NIRSPEC, settings={"gain_factor": 2.0}),
    Row("guider_cds", cases=GUIDER),
    Row("flat_field, guider", cases=GUIDER),
    Row(
        "badpix_selfcal, 15 by 15",
        parameters={"force_single": True},
        official="jwst.badpix_selfcal:BadpixSelfcalStep",
    ),
)
