"""References of photometry: apertures and offsets of magnitudes, decoded and simulated."""

from __future__ import annotations

import numpy as np
import pytest
from stdatamodels.jwst import datamodels

from jwgpu.errors import ReferenceFileError
from jwgpu.references.decode import Decoding, decode
from jwgpu.references.sources import open_source
from jwgpu.simulate.imaging_references import write_imaging_references
from jwgpu.simulate.photometry_references import aperture_radii

CAMERAS = {"NRCA1": "NIRCAM", "NIS": "NIRISS", "MIRIMAGE": "MIRI", "GUIDER1": "FGS"}


def decoded(reference, reftype):
    with open_source(reference) as source:
        return decode(Decoding(source, reftype, None, None))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("references")
    return {
        detector: write_imaging_references(
            folder, instrument, detector, types=["apcorr", "abvegaoffset"]
        )
        for detector, instrument in CAMERAS.items()
    }


@pytest.mark.parametrize("detector", CAMERAS)
@pytest.mark.parametrize(
    ("reftype", "attribute"), [("apcorr", "apcorr_table"), ("abvegaoffset", "abvega_offset")]
)
def test_tables_are_those_of_the_official_models(written, detector, reftype, attribute):
    path = str(written[detector][reftype])
    from_file = decoded(path, reftype)
    with datamodels.open(path) as model:
        from_model = decoded(model, reftype)
        table = getattr(model, attribute)
        names = getattr(table, "colnames", None) or table.dtype.names
        assert list(from_file.table) == list(from_model.table) == list(names)
        for name in names:
            np.testing.assert_array_equal(from_file.table[name], table[name])
            np.testing.assert_array_equal(from_model.table[name], table[name])


@pytest.mark.parametrize("reftype", ["apcorr", "abvegaoffset"])
def test_a_reference_of_another_kind(written, reftype):
    other = {"apcorr": "abvegaoffset", "abvegaoffset": "apcorr"}[reftype]
    with pytest.raises(ReferenceFileError, match="has no table"):
        decoded(str(written["NRCA1"][other]), reftype)


@pytest.mark.parametrize(("pixfrac", "ratio"), [(1.0, 1.0), (0.6, 0.5)])
def test_radii_hold_their_shares(pixfrac, ratio):
    """Draw places of photons, and of their pixels: half of them are within the radius of 50 %."""
    rng = np.random.default_rng(4)
    n = 400_000
    places = rng.normal(0, 1.3, (2, n))
    for side in (1.0, pixfrac, ratio, ratio):
        places += rng.uniform(-side / 2, side / 2, (2, n))
    radii = aperture_radii(1.3, pixfrac, ratio)
    shares = [np.mean(np.hypot(*places) < radius) for radius in radii]
    np.testing.assert_allclose(shares, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], atol=0.004)
