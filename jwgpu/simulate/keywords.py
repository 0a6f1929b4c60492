"""Header keywords of a simulated exposure, by their place in the metadata tree."""

from __future__ import annotations

from typing import Any

import numpy as np

from jwgpu.kernels.irs2.layout import REFERENCE_RUN, SCIENCE_RUN
from jwgpu.models.stripes import KEYWORDS as STRIPE_KEYWORDS
from jwgpu.simulate.geometry import Detector
from jwgpu.simulate.settings import Settings

EXPOSURE_START = 59800.5
"""When simulated exposures begin, in days of the Modified Julian Date (2022-08-09T12:00)."""

_SECONDS_PER_DAY = 86400.0
_TARGET = (80.48, -69.5)  # deg, in the Large Magellanic Cloud, where JWST calibrates itself
_ROLL = 30.0  # deg


def exposure_type(settings: Settings) -> str:
    """Return what EXP_TYPE says: given, or usual for the subarray."""
    if settings.exp_type is not None:
        return settings.exp_type
    instrument, name = settings.camera.instrument, settings.place.name
    series = settings.time_series
    if instrument == "NIRCAM":
        if name.startswith("SUBGRISM"):
            return "NRC_TSGRISM"
        coronagraph = name.startswith(("SUB320", "SUB640")) and len(name) > 6
        return "NRC_CORON" if coronagraph else ("NRC_TSIMAGE" if series else "NRC_IMAGE")
    if instrument == "NIRISS":
        usual = {
            "SUBSTR": "NIS_SOSS",
            "SUB80": "NIS_AMI",
            "WFSS64": "NIS_WFSS",
            "WFSS12": "NIS_WFSS",
        }
        return usual.get(name[:6], "NIS_IMAGE")
    if instrument == "NIRSPEC":
        return "NRS_BRIGHTOBJ" if series else "NRS_FIXEDSLIT"
    if instrument == "FGS":
        return "FGS_IMAGE"
    if settings.camera.name != "MIRIMAGE":
        return "MIR_MRS"
    usual = {"SLITLESSPRISM": "MIR_LRS-SLITLESS", "MASKLYOT": "MIR_LYOT"}
    return usual.get(name, "MIR_4QPM" if name.startswith("MASK1") else "MIR_IMAGE")


def optical_elements(settings: Settings) -> dict[str, str]:
    """Return filter, pupil, grating, … as the exposure type usually has them, or as given."""
    detector, kind = settings.camera, exposure_type(settings)
    usual: dict[str, str]
    if detector.instrument == "NIRCAM":
        usual = {"filter": "F444W" if detector.channel == "LONG" else "F200W", "pupil": "CLEAR"}
        if kind == "NRC_TSGRISM" and detector.channel == "LONG":
            usual["pupil"] = "GRISMR"
    elif detector.instrument == "NIRISS":
        special = {
            "NIS_SOSS": ("CLEAR", "GR700XD"),
            "NIS_AMI": ("F480M", "NRM"),
            "NIS_WFSS": ("GR150R", "F200W"),
        }
        names = special.get(kind, ("CLEAR", "F200W"))
        usual = {"filter": names[0], "pupil": names[1]}
    elif detector.instrument == "NIRSPEC":
        usual = {"filter": "F100LP", "grating": "G140M", "lamp_state": "NONE"}
    elif detector.instrument == "MIRI" and detector.name == "MIRIMAGE":
        special_filters = {
            "MIR_LRS-SLITLESS": "P750L",
            "MIR_LRS-FIXEDSLIT": "P750L",
            "MIR_LYOT": "F2300C",
            "MIR_4QPM": "F1065C",
        }
        usual = {"filter": special_filters.get(kind, "F770W")}
    elif detector.instrument == "MIRI":
        usual = {"band": "SHORT"}
    else:
        usual = {}
    given = {"filter": settings.filter, "pupil": settings.pupil, "grating": settings.grating}
    usual.update({name: value for name, value in given.items() if value is not None})
    return usual


def integration_times(settings: Settings) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return start, middle and end of each integration.

    Returns
    -------
    ndarray, float64, shape (ints, 3)
        Days of the Modified Julian Date, UTC.
    """
    # A reset takes a frame time before each integration but the first.
    cycle = settings.integration_time + settings.frame_time
    start = np.arange(settings.nints) * cycle
    stop = start + settings.integration_time
    return EXPOSURE_START + np.stack([start, (start + stop) / 2, stop], axis=1) / _SECONDS_PER_DAY


def file_root(settings: Settings) -> str:
    """Return the name of the exposure up to its detector: ``jw09999001001_02101_00001_nrca1``."""
    exposure = settings.seed % 99999 + 1
    return f"jw09999001001_02101_{exposure:05d}_{settings.camera.product_name}"


def _timestamp(days: float) -> str:
    """Write a Modified Julian Date as FITS does: ``2022-08-09T12:00:00.000``."""
    epoch = np.datetime64("1858-11-17T00:00:00.000")
    return str(epoch + np.timedelta64(round(days * _SECONDS_PER_DAY * 1000), "ms"))


def instrument_keywords(settings: Settings) -> dict[str, Any]:
    """Return what identifies instrument and detector."""
    detector = settings.camera
    found: dict[str, str | None] = {"name": detector.instrument, "detector": detector.name}
    found.update({"channel": detector.channel, "module": detector.module})
    found.update(optical_elements(settings))
    return {f"meta.instrument.{name}": value for name, value in found.items() if value}


def exposure_keywords(settings: Settings) -> dict[str, Any]:
    """Return what says how the detector was read."""
    pattern, times = settings.pattern, integration_times(settings)
    found = {
        "type": exposure_type(settings),
        "count": 1,
        "readpatt": pattern.name,
        "noutputs": 5 if pattern.is_irs2 else settings.place.noutputs,
        "nints": settings.nints,
        "integration_start": None,
        "ngroups": settings.ngroups,
        "nframes": pattern.nframes,
        "frame_divisor": settings.divisor,
        "groupgap": pattern.groupgap,
        "drop_frames1": 0,
        "drop_frames3": 0,
        "nsamples": pattern.nsamples,
        "sample_time": 10.0,
        "frame_time": settings.frame_time,
        "group_time": settings.group_time,
        "integration_time": settings.integration_time,
        "exposure_time": settings.nints * settings.integration_time,
        "elapsed_exposure_time": float(times[-1, 2] - times[0, 0]) * _SECONDS_PER_DAY,
        "duration": settings.nints * (settings.integration_time + settings.frame_time),
        "measurement_time": settings.nints * (settings.ngroups - 1) * settings.group_time,
        "nresets_at_start": 1,
        "nresets_between_ints": 1,
        "nrs_normal": SCIENCE_RUN if pattern.is_irs2 else None,
        "nrs_reference": REFERENCE_RUN if pattern.is_irs2 else None,
        "zero_frame": settings.keeps_zero_frame,
        "data_problem": False,
        "sca_number": settings.camera.sca_number,
        "start_time": float(times[0, 0]),
        "mid_time": float(times[:, 1].mean()),
        "end_time": float(times[-1, 2]),
    }
    return {f"meta.exposure.{name}": value for name, value in found.items() if value is not None}


def subarray_keywords(settings: Settings) -> dict[str, Any]:
    """Return where the window lies and which way it was read."""
    place, detector = settings.place, settings.camera
    found = {
        "name": place.name,
        "xstart": place.xstart,
        "ystart": place.ystart,
        "xsize": place.xsize,
        "ysize": place.ysize,
        "fastaxis": detector.fast_axis,
        "slowaxis": detector.slow_axis,
    }
    if settings.stripes is not None:
        places = (place for _, place in STRIPE_KEYWORDS.values())
        found.update(zip(places, settings.stripes, strict=True))
    return {f"meta.subarray.{name}": value for name, value in found.items()}


def _pointing(detector: Detector, settings: Settings) -> dict[str, Any]:
    """Return a simple attitude: the centre of the detector looks at the target."""
    ra, dec = _TARGET
    angle = np.deg2rad(_ROLL + detector.v3i_yang)
    scale = detector.pixel_scale / 3600.0
    found = {
        "wcsaxes": 2,
        "crpix1": (detector.xsize + 1) / 2 - (settings.place.xstart - 1),
        "crpix2": (detector.ysize + 1) / 2 - (settings.place.ystart - 1),
        "crval1": ra,
        "crval2": dec,
        "ctype1": "RA---TAN",
        "ctype2": "DEC--TAN",
        "cunit1": "deg",
        "cunit2": "deg",
        "cdelt1": scale,
        "cdelt2": scale,
        "pc1_1": -float(np.cos(angle)),
        "pc1_2": float(np.sin(angle)),
        "pc2_1": float(np.sin(angle)),
        "pc2_2": float(np.cos(angle)),
        "v2_ref": detector.v2_ref,
        "v3_ref": detector.v3_ref,
        "vparity": -1,
        "v3yangle": detector.v3i_yang,
        "ra_ref": ra,
        "dec_ref": dec,
        "roll_ref": _ROLL,
        "velosys": -5000.0,
    }
    keywords = {f"meta.wcsinfo.{name}": value for name, value in found.items()}
    keywords.update(
        {"meta.pointing.ra_v1": ra, "meta.pointing.dec_v1": dec, "meta.pointing.pa_v3": _ROLL}
    )
    return keywords


def level1b_keywords(settings: Settings) -> dict[str, Any]:
    """Return every keyword of a raw exposure: path in the metadata tree to value."""
    times = integration_times(settings)
    start, stop = _timestamp(float(times[0, 0])), _timestamp(float(times[-1, 2]))
    date, clock = start.split("T")
    detector = settings.camera
    keywords: dict[str, Any] = {
        "meta.telescope": "JWST",
        "meta.origin": "JWGPU",
        "meta.filetype": "raw",
        "meta.program.title": "A simulated exposure",
        "meta.program.pi_name": "Simulator, Jane",
        "meta.program.category": "CAL",
        "meta.program.sub_category": detector.instrument,
        "meta.observation.date": date,
        "meta.observation.time": clock,
        "meta.observation.date_beg": start,
        "meta.observation.date_end": stop,
        "meta.observation.obs_id": "V09999001001P0000000002101",
        "meta.observation.visit_id": "09999001001",
        "meta.observation.program_number": "09999",
        "meta.observation.observation_number": "001",
        "meta.observation.visit_number": "001",
        "meta.observation.visit_group": "02",
        "meta.observation.sequence_id": "1",
        "meta.observation.activity_id": "01",
        "meta.observation.exposure_number": str(settings.seed % 99999 + 1),
        "meta.observation.bkgdtarg": False,
        "meta.visit.type": "PRIME_TARGETED_FIXED",
        "meta.visit.status": "SUCCESSFUL",
        "meta.visit.total_exposures": 1,
        "meta.visit.internal_target": False,
        "meta.visit.too_visit": False,
        "meta.visit.tsovisit": settings.time_series,
        "meta.target.proposer_name": "SIMULATED FIELD",
        "meta.target.catalog_name": "SIMULATED FIELD",
        "meta.target.type": "FIXED",
        "meta.target.ra": _TARGET[0],
        "meta.target.dec": _TARGET[1],
        "meta.target.proposer_ra": _TARGET[0],
        "meta.target.proposer_dec": _TARGET[1],
        "meta.dither.primary_type": "NONE",
        "meta.dither.position_number": 1,
        "meta.dither.total_points": 1,
        "meta.dither.x_offset": 0.0,
        "meta.dither.y_offset": 0.0,
        "meta.velocity_aberration.scale_factor": 1.0,
    }
    keywords.update(instrument_keywords(settings))
    keywords.update(exposure_keywords(settings))
    keywords.update(subarray_keywords(settings))
    keywords.update(_pointing(detector, settings))
    if detector.instrument == "NIRSPEC":
        keywords.update({"meta.instrument.gwa_xtilt": 0.35, "meta.instrument.gwa_ytilt": 0.13})
    return keywords
