"""Images that a device decodes are those that the host decodes."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.errors import InputError
from jwgpu.models.decoding import decoder_of, read_to
from jwgpu.models.fits_arrays import FitsFile

RNG = np.random.default_rng(3)
WHOLE = {
    "SAMPLES": RNG.integers(0, 1 << 16, (2, 3, 5, 7)).astype(np.uint16),
    "SIGNED": RNG.integers(-(1 << 15), 1 << 15, (3, 5, 7)).astype(np.int16),
    "VALUES": np.array([[1.5, -np.inf, np.nan], [0.0, -0.0, 1e-42]], np.float32),
    "FLAGS": RNG.integers(0, 256, (2, 5, 7)).astype(np.uint8),
    "WORDS": RNG.integers(0, 1 << 32, (5, 7)).astype(np.uint32),
    "DOUBLES": RNG.normal(size=(5, 7)),
    "LARGE": RNG.integers(0, 1 << 16, (3, 1100, 1030)).astype(np.uint16),
}
#: Extension and dtype, and whether a device decodes it.
CASES = [
    ("SAMPLES", np.float32, True),
    ("LARGE", np.float32, True),
    ("SIGNED", np.float32, True),
    ("VALUES", np.float32, True),
    ("FLAGS", np.uint8, True),
    ("WORDS", np.uint32, True),
    ("SAMPLES", np.uint16, False),
    ("DOUBLES", np.float32, False),
    ("FLAGS", np.uint32, False),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("decoding") / "all.fits"
    images = [fits.ImageHDU(array, name=name) for name, array in WHOLE.items()]
    scaled = fits.ImageHDU(WHOLE["SIGNED"], name="SCALED")
    scaled.header["BSCALE"] = 0.5
    blank = fits.ImageHDU(WHOLE["SIGNED"], name="BLANK")
    blank.header["BLANK"] = int(WHOLE["SIGNED"][0, 0, 0])
    packed = fits.CompImageHDU(WHOLE["SIGNED"], name="PACKED", compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), *images, scaled, blank, packed]).writeto(path)
    return path


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("name", "dtype", "is_decoded"), CASES)
def test_the_device_has_what_the_host_reads(path, device, name, dtype, is_decoded, threads):
    with FitsFile(path) as file:
        want = file.read_array(name, dtype)
        found = read_to(device, file, name, dtype, threads)
        assert (decoder_of(file[name], np.dtype(dtype)) is not None) == is_decoded
    assert found.dtype == dtype
    assert isinstance(found, device.xp.ndarray)
    np.testing.assert_array_equal(device.fetch(found).view("u1"), want.view("u1"))


@pytest.mark.parametrize("name", ["SCALED", "BLANK", "PACKED"])
def test_what_is_scaled_or_compressed_is_left_to_the_host(path, gpu, name):
    with FitsFile(path) as file:
        want = file.read_array(name, np.float32)
        assert decoder_of(file[name], np.dtype(np.float32)) is None
        np.testing.assert_array_equal(gpu.fetch(read_to(gpu, file, name, np.float32)), want)


def test_the_stored_numbers_travel_once(path):
    fakecupy = pytest.importorskip("cudasim.fakecupy")
    from jwgpu.backends.cuda import CudaDevice

    with FitsFile(path) as file:
        fakecupy.counts.reset()
        read_to(CudaDevice(fakecupy), file, "SAMPLES", np.float32)
    assert fakecupy.counts.sent_bytes == WHOLE["SAMPLES"].nbytes
    assert fakecupy.counts.fetched == fakecupy.counts.scalars == 0


def test_a_truncated_file_is_told(path, gpu, tmp_path):
    short = tmp_path / "short.fits"
    short.write_bytes(path.read_bytes()[: 2880 * 2 + 100])
    with FitsFile(short) as file, pytest.raises(InputError, match=r"ends in its extension SAMPLES"):
        read_to(gpu, file, "SAMPLES", np.float32)
