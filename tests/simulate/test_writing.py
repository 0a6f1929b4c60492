"""Simulated files open as genuine JWST files and reference files do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from stdatamodels.jwst import datamodels

from jwgpu.errors import ParameterError
from jwgpu.models.flags import PIXEL
from jwgpu.simulate import Settings, make_dataset, simulate_exposure, write_exposure
from jwgpu.simulate.detector_maps import detector_maps
from jwgpu.simulate.references import write_references

KEYWORDS = """
INSTRUME DETECTOR EXP_TYPE READPATT NGROUPS NINTS NFRAMES GROUPGAP FRMDIVSR TFRAME TGROUP
EFFINTTM EFFEXPTM DRPFRMS1 NRESETS SUBARRAY SUBSTRT1 SUBSTRT2 SUBSIZE1 SUBSIZE2 FASTAXIS
SLOWAXIS NOUTPUTS ZEROFRAM TSOVISIT DATE-OBS TIME-OBS EXPSTART EXPMID EXPEND TARGNAME
"""


def test_exposure_has_the_layout_of_level_1b(tmp_path: Path) -> None:
    chosen = Settings(window=(1, 1, 64, 32), readpatt="BRIGHT2", ngroups=3, nints=2, n_stars=2)
    simulation = simulate_exposure(chosen)
    path = write_exposure(simulation, tmp_path)
    assert path.name.endswith("_nrca1_uncal.fits")
    with fits.open(path) as hdus:
        names = [hdu.name for hdu in hdus]
        assert names == ["PRIMARY", "SCI", "ZEROFRAME", "GROUP", "INT_TIMES", "ASDF"]
        header = hdus[0].header
        missing = [name for name in [*KEYWORDS.split(), "CHANNEL", "MODULE", "FILTER", "PUPIL"]
                   if name not in header]  # fmt: skip
        assert not missing
        assert header["NFRAMES"] == 2
        assert header["FASTAXIS"] == -1
        for name in ("RA_REF", "DEC_REF", "ROLL_REF", "V2_REF", "V3_REF", "CRVAL1", "PC1_1"):
            assert name in hdus["SCI"].header
        assert hdus["SCI"].data.dtype == np.uint16
        assert np.array_equal(hdus["SCI"].data, simulation.data)
        assert np.array_equal(hdus["ZEROFRAME"].data, simulation.zeroframe)
        assert len(hdus["GROUP"].data) == 6
        times = hdus["INT_TIMES"].data
        assert np.all(np.diff(times["int_mid_MJD_UTC"]) > 0)
    with datamodels.open(path) as model:
        assert isinstance(model, datamodels.Level1bModel)


@pytest.mark.parametrize(
    "chosen",
    [
        {"instrument": "NIRCAM", "window": (1, 1, 64, 32)},
        {"instrument": "NIRISS", "subarray": "SUB80"},
        {"instrument": "NIRSPEC", "subarray": "SUB512"},
        {"instrument": "FGS", "subarray": "SUB32LL"},
        {"instrument": "MIRI", "subarray": "SUB64"},
    ],
    ids=lambda chosen: chosen["instrument"],
)
def test_references_open_as_their_models(tmp_path: Path, chosen: dict) -> None:
    settings = Settings(**chosen, ngroups=4)
    written = write_references(settings, tmp_path, inverse_linearity=True)
    rows, columns = settings.place.shape
    classes = {
        "mask": datamodels.MaskModel,
        "saturation": datamodels.SaturationModel,
        "superbias": datamodels.SuperBiasModel,
        "ipc": datamodels.IPCModel,
        "linearity": datamodels.LinearityModel,
        "dark": {
            "MIRI": datamodels.DarkMIRIModel, "NIRSPEC": datamodels.DarkNirspecModel
        }.get(chosen["instrument"], datamodels.DarkModel),
        "reset": datamodels.ResetModel,
        "rscd": datamodels.RSCDModel,
        "gain": datamodels.GainModel,
        "readnoise": datamodels.ReadnoiseModel,
    }  # fmt: skip
    for reftype, path in written.items():
        assert path.name.startswith(f"jwst_{chosen['instrument'].lower()}_{reftype}_")
        with classes[reftype](path) as model:
            assert model.meta.reftype == reftype.upper()
            assert model.meta.instrument.detector == settings.camera.name
            assert model.meta.pedigree == "SIMULATION"
            if reftype not in ("ipc", "rscd"):
                assert model.get_primary_array_name()
                shape = getattr(model, model.get_primary_array_name()).shape
                assert shape[-2:] == (rows, columns)
                assert model.meta.subarray.xstart == settings.place.xstart


def test_flags_survive_their_own_bit_order(tmp_path: Path) -> None:
    """Bits in the file follow its DQ_DEF table; read back they are the official ones."""
    settings = Settings(window=(1, 1, 256, 256))
    path = write_references(settings, tmp_path, types=["mask"])["mask"]
    with datamodels.MaskModel(path) as model, fits.open(path) as hdus:
        wanted = detector_maps(settings).flags
        own = sum(PIXEL[str(row["NAME"])] for row in hdus["DQ_DEF"].data)
        assert np.array_equal(model.dq, wanted & np.uint32(own))
        assert not np.array_equal(hdus["DQ"].data, model.dq)


def test_full_frame_references_hold_the_subarray(tmp_path: Path) -> None:
    settings = Settings("MIRI", subarray="SUB64", ngroups=3)
    cut = write_references(settings, tmp_path / "cut", types=["gain"])["gain"]
    whole = write_references(
        settings, tmp_path / "whole", types=["gain"], full_frame_references=True
    )["gain"]
    assert fits.getval(whole, "SUBARRAY") == "GENERIC"
    part = fits.getdata(whole)[778:842, :72]
    assert np.array_equal(part, fits.getdata(cut), equal_nan=True)


def test_same_settings_write_the_same_bytes(tmp_path: Path) -> None:
    both = [
        make_dataset(
            tmp_path / name,
            window=(1, 1, 32, 32),
            ngroups=2,
            n_stars=1,
            reference_options={"types": ["mask", "dark"]},
        )
        for name in ("a", "b")
    ]
    assert both[0].exposure.read_bytes() == both[1].exposure.read_bytes()
    for reftype, path in both[0].references.items():
        assert path.read_bytes() == both[1].references[reftype].read_bytes(), reftype


def test_unknown_reference_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="MIRI has no reference type 'superbias'"):
        write_references(Settings("MIRI", subarray="SUB64"), tmp_path, types=["superbias"])


def test_import_loads_numpy_only() -> None:
    heavy = {"astropy", "stdatamodels", "asdf", "scipy", "numba", "crds"}
    code = f"import sys, jwgpu.simulate; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
