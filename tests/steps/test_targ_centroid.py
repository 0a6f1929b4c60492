"""The source of a slit's spectrum: parity with the official step, truth, and what is skipped."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest
from astropy.io import fits
from image_exposures import Field, field_of
from offline import answering
from stdatamodels.jwst import datamodels

from jwgpu.cli import main
from jwgpu.simulate.images import Pointing, Stars, geometry, write_rate
from jwgpu.simulate.settings import Settings
from jwgpu.steps.assign_wcs import AssignWcsStep
from jwgpu.steps.targ_centroid import TargCentroidStep

pytest_plugins = ("official",)

#: Columns and rows around the reference point of the detector.
SETTINGS = Settings(
    instrument="MIRI",
    detector="MIRIMAGE",
    window=(460, 460, 112, 104),
    exp_type="MIR_TACONFIRM",
    ngroups=5,
)

#: Where the star of the image is, (column, row).
PLACE = (58.3, 50.7)


def _field() -> Field:
    return field_of("MIRI", "MIRIMAGE", "SUB128")


@cache
def _references() -> str:
    """Return a folder with what the image needs."""
    folder = _field().rate.parent / "references of the image"
    folder.mkdir()
    for reftype in ("distortion", "filteroffset"):
        file = Path(_field().references[reftype])
        with asdf.open(file) as opened:
            if "exposure" in opened["meta"]:  # which chooses
                opened["meta"]["exposure"]["type"] = "MIR_TACONFIRM"
            opened.write_to(folder / file.name)
    return str(folder)


@cache
def _image() -> Path:
    """Write an image of one star, which its dither tells where to look for."""
    ra, dec = geometry(SETTINGS, Pointing())(*PLACE)
    stars = Stars(np.array([ra]), np.array([dec]), np.array([1e6]))
    path = write_rate(_field().rate.parent / "acquired", SETTINGS, stars, Pointing())
    with fits.open(path, "update") as file:
        file[0].header["XOFFSET"], file[0].header["YOFFSET"] = 0.3, -0.2
    return path


def spectrum(kind: str = "MIR_LRS-FIXEDSLIT", model_class: Any = datamodels.ImageModel) -> Any:
    """Return what the step sees of a spectrum: its geometry and dither."""
    settings = replace(SETTINGS, exp_type="MIR_IMAGE")
    path = write_rate(_field().rate.parent / "spectrum", settings, _field().stars, Pointing())
    with datamodels.open(str(path)) as rate:
        model = AssignWcsStep(references=_field().folder).run(rate)
    model.meta.exposure.type = kind
    model.meta.target.source_type = "POINT"
    model.meta.dither.x_offset, model.meta.dither.y_offset = 1.9, -0.6
    if model_class is datamodels.SlitModel:
        found = datamodels.SlitModel(model)
        found.meta.wcs = with_wavelength(model.meta.wcs)
        found.meta.wcsinfo.dispersion_direction = 2
        return found
    return model


def with_wavelength(wcs: Any) -> Any:
    """Return a geometry that tells a wavelength too, and wants it for the way back."""
    import gwcs
    from astropy import units as u
    from astropy.modeling.models import Identity, Mapping, Polynomial1D
    from gwcs import coordinate_frames as frames

    colour = Polynomial1D(1, c0=5, c1=0.05)
    colour.inverse = Polynomial1D(1, c0=-100, c1=20)
    plane = wcs.get_transform("detector", "v2v3")
    first = Mapping((0, 1, 1)) | plane & colour
    first.inverse = Mapping((0, 1), n_inputs=3) | plane.inverse
    wave = frames.SpectralFrame(name="wave", unit=u.micron, axes_order=(2,))
    focal = frames.Frame2D(name="v2v3_spatial", unit=(u.arcsec, u.arcsec))
    sky = wcs.output_frame
    found = gwcs.WCS(
        [
            (wcs.input_frame, first),
            (frames.CompositeFrame([focal, wave], name="v2v3"),
             wcs.get_transform("v2v3", "world") & Identity(1)),
            (frames.CompositeFrame([sky, wave], name="world"), None),
        ]
    )  # fmt: skip
    found.bounding_box = ((-0.5, 111.5), (-0.5, 103.5))
    return found


def official(model: Any, **parameters: Any) -> Any:
    from jwst.targ_centroid import TargCentroidStep as Official

    step = Official()
    for name, value in parameters.items():
        setattr(step, name, value)
    with answering(_field().references):
        return step.run(model)


def both(model: Any, **parameters: Any) -> tuple[Any, Any]:
    ours = TargCentroidStep(references=_references(), **parameters).run(model)
    return ours, official(model, **parameters)


def places(model: Any) -> list[float]:
    return [getattr(model, f"{name}_{axis}pos") for name in ("ta", "source") for axis in "xy"]


@pytest.mark.parametrize(
    ("kind", "model_class"),
    [("MIR_LRS-FIXEDSLIT", datamodels.ImageModel), ("MIR_LRS-SLITLESS", datamodels.SlitModel)],
)
def test_same_as_official(official: Any, kind: str, model_class: Any) -> None:
    model = spectrum(kind, model_class)
    ours, theirs = both(model, ta_file=str(_image()))
    assert ours.meta.cal_step.targ_centroid == theirs.meta.cal_step.targ_centroid == "COMPLETE"
    # The geometries of the image differ in the last bits (some 1e-9 pixels).
    np.testing.assert_allclose(places(ours), places(theirs), rtol=1e-9)
    assert not model.meta.cal_step.hasattr("targ_centroid")


def test_the_star_is_found() -> None:
    ours = TargCentroidStep(references=_references(), ta_file=str(_image())).run(spectrum())
    np.testing.assert_allclose(places(ours)[:2], PLACE, atol=0.01)
    # The source moves with the dither, in arcsec: of the spectrum less that of the image.
    moved = np.hypot(*(np.subtract(places(ours)[2:], PLACE)))
    assert moved == pytest.approx(np.hypot(1.6, -0.4) / 0.11, abs=1.5)


@pytest.mark.parametrize("spoil", ["type", "far", "nan", "none", "cube"])
def test_what_is_skipped_as_officially(official: Any, spoil: str, tmp_path: Path) -> None:
    path, model = tmp_path / "ta_rate.fits", spectrum()
    with datamodels.open(str(_image())) as image:
        if spoil == "type":
            image.meta.exposure.type = "MIR_IMAGE"
        if spoil == "nan":
            image.data[:] = np.nan
        if spoil == "far":
            image.meta.dither.x_offset = 100.0
        if spoil == "cube":
            cube = datamodels.CubeModel(data=image.data[None].copy())
            cube.update(image)
            cube.save(str(path))
        else:
            image.save(str(path))
    ours, theirs = both(model, ta_file=None if spoil == "none" else str(path))
    assert ours.meta.cal_step.targ_centroid == theirs.meta.cal_step.targ_centroid == "SKIPPED"


def test_without_geometry(tmp_path: Path) -> None:
    model = datamodels.ImageModel((4, 4))
    model.meta.exposure.type = "MIR_LRS-FIXEDSLIT"
    model.meta.filename = "a_cal.fits"
    step = TargCentroidStep(references=_references(), ta_file=str(_image()))
    assert step.run(model).meta.cal_step.targ_centroid == "SKIPPED"


def test_association(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum().save(str(tmp_path / "a_cal.fits"))
    with datamodels.open(str(_image())) as image:
        image.save(str(tmp_path / "ta_rate.fits"))
    members = [
        {"expname": "a_cal.fits", "exptype": "science"},
        {"expname": "ta_rate.fits", "exptype": "target_acquisition"},
    ]
    content = {"asn_type": "spec2", "asn_rule": "DMSLevel2bBase", "asn_pool": "none"}
    content |= {"asn_id": "a3001", "products": [{"name": "a", "members": members}]}
    path = tmp_path / "a_asn.json"
    path.write_text(json.dumps(content))
    found = TargCentroidStep(references=_references()).run(str(path))
    assert len(found) == 2
    monkeypatch.chdir(tmp_path)
    theirs = official(str(path.name))
    np.testing.assert_allclose(places(found[0]), places(theirs[0]), rtol=1e-9)
    given = TargCentroidStep(references=_references()).run(list(theirs))
    assert places(given[0]) == places(found[0])


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "a_cal.fits"
    spectrum().save(str(path))
    words = ["--references", _references(), f"--output-dir={tmp_path}", f"--ta-file={_image()}"]
    assert main(["targ_centroid", str(path), *words]) == 0
    with datamodels.open(str(tmp_path / "a_targcentroidstep.fits")) as model:
        assert model.meta.cal_step.targ_centroid == "COMPLETE"
        assert fits.getheader(tmp_path / "a_targcentroidstep.fits")["S_TACNTR"] == "COMPLETE"
        np.testing.assert_allclose([model.ta_xpos, model.ta_ypos], PLACE, atol=0.01)
