"""Lines of striped readouts, references arranged for them, superstripes put together.

The official functions are the oracle, on readouts of all kinds.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from jwst.lib import stripe_utils
from stdatamodels.jwst import datamodels

from jwgpu.errors import InputError, ReferenceFileError
from jwgpu.models.reading import model_of, ramp_of
from jwgpu.models.stripes import DETECTOR_SIZE, KEYWORDS, striped_readout
from jwgpu.models.superstripes import collate, put_stripe, take_stripe
from jwgpu.references import References
from jwgpu.references.stripes import of_stripe
from jwgpu.references.types import IpcReference, SuperBiasReference

#: FASTAXIS and SLOWAXIS of the near-infrared detectors.
AXES = [(1, -2), (-1, 2), (-2, -1), (2, -1), (2, 1)]

#: Pixels of a line: a few are enough.
PIXELS = 6


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("jwst").setLevel(logging.ERROR)


@st.composite
def readouts(draw: Any, superstripes: tuple[int, ...] = (0, 1, 3)) -> Any:
    """Draw the keywords of a readout; they need not fit together."""
    one_of = st.sampled_from
    reads1, reads2, step = (
        draw(one_of([0, 1, 4])),
        draw(one_of([0, 1, 8])),
        draw(one_of([1, 8, 30])),
    )
    number, repeats = draw(one_of(superstripes)), draw(st.booleans())
    lines = reads2 or step
    stripes = draw(one_of([1, 2, 3]))
    size = stripes * (reads1 + lines) if repeats else reads1 + stripes * lines
    size += draw(one_of([0, 0, 0, 1]))
    fast, slow = draw(one_of(AXES))
    start = draw(one_of([1, 5, 1000, 2046, 2048]))
    shape = {"xsize": PIXELS, "ysize": size} if abs(fast) == 1 else {"xsize": size, "ysize": PIXELS}
    return SimpleNamespace(
        name=draw(one_of(["SUB64P", "SUB41STRIPE1_DHS", "SUB204STRIPE_SOSS"])),
        multistripe_reads1=reads1,
        multistripe_skips1=draw(one_of([0, 3, 165])),
        multistripe_reads2=reads2,
        multistripe_skips2=draw(one_of([0, 5])),
        repeat_stripe=int(repeats),
        interleave_reads1=draw(one_of([0, 1])),
        superstripe_step=step,
        num_superstripe=number,
        **{"fastaxis": fast, "slowaxis": slow, "xstart": start, "ystart": start, **shape},
    )


def exposure_of(subarray: Any) -> Any:
    return SimpleNamespace(meta=SimpleNamespace(subarray=subarray, filename="made_uncal.fits"))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(readouts())
def test_lines_are_the_official_ones(subarray: Any) -> None:
    exposure = exposure_of(subarray)
    size = (DETECTOR_SIZE, PIXELS) if abs(subarray.fastaxis) == 1 else (PIXELS, DETECTOR_SIZE)
    image = np.arange(DETECTOR_SIZE * PIXELS).reshape(size)
    try:
        readout = striped_readout(exposure.meta)
    except InputError as why:
        # Beyond the detector the official package takes what it finds, and repeats it.
        assume("beyond" not in str(why))
        with pytest.raises(ValueError, match=r"not match|Invalid"):
            stripe_utils.generate_stripe_reference(image, exposure)
        return
    assert readout is not None
    expected = stripe_utils.generate_stripe_reference(image, exposure)
    np.testing.assert_array_equal(readout.arrange(image), expected)
    assert readout.arrange(image).flags.c_contiguous


def ramp_of_stripes(subarray: Any, seed: int, *, has_zeroframe: bool, with_times: bool) -> Any:
    """Return an official model of two integrations, two groups, flagged at random."""
    random = np.random.default_rng(seed)
    n = max(subarray.num_superstripe, 1)
    shape = (2 * n, 2, subarray.ysize, subarray.xsize)
    model = datamodels.SuperstripeRampModel(data=random.normal(size=shape).astype(np.float32))
    for name, value in vars(subarray).items():
        setattr(model.meta.subarray, name, value)
    model.groupdq = random.integers(0, 8, shape, dtype=np.uint8)
    model.pixeldq = random.integers(0, 99, (n, *shape[2:])).astype(np.uint32)
    model.meta.filename = "made_uncal.fits"
    model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
    exposure = model.meta.exposure
    exposure.readpatt, exposure.nints, exposure.ngroups = "RAPID", 2 * n, 2
    exposure.nframes, exposure.groupgap = 1 + seed % 3, seed % 2
    exposure.noutputs = 1 + 3 * (seed % 2)
    exposure.zero_frame = has_zeroframe
    if has_zeroframe:
        model.zeroframe = random.normal(size=(2 * n, *shape[2:])).astype(np.float32)
    if seed % 3:
        exposure.integration_start, exposure.integration_end = 2 * n + 1, 4 * n
    if with_times:
        table = np.zeros(2 * n, model.get_dtype("int_times"))
        table["integration_number"] = np.arange(2 * n) + 1
        for name in table.dtype.names[1:]:
            table[name] = np.sort(random.uniform(6e4, 6.1e4, 2 * n))
        model.int_times = table
    return model


@settings(
    max_examples=12, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
)
@given(readouts(superstripes=(1, 3)), st.integers(0, 99), st.booleans(), st.booleans())
def test_together_they_are_as_officially(
    subarray: Any, seed: int, has_zeroframe: bool, with_times: bool
) -> None:
    try:
        striped_readout(exposure_of(subarray).meta)
    except InputError:
        assume(False)
    model = ramp_of_stripes(subarray, seed, has_zeroframe=has_zeroframe, with_times=with_times)
    expected = stripe_utils.collate_superstripes(model.copy())
    ramp = ramp_of(model)
    collate(ramp)
    ours = model_of(ramp)
    assert type(ours) is type(expected)
    for name in ("data", "groupdq", "pixeldq", "zeroframe", "int_times", "int_times_stripe"):
        mine, theirs = (getattr(m, name, None) for m in (ours, expected))
        if name == "zeroframe" and not has_zeroframe:
            assert ramp.zeroframe is None
        elif theirs is None or not len(theirs):
            assert mine is None or not len(mine)
        else:
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
    assert ours.meta.subarray.instance == expected.meta.subarray.instance
    assert ours.meta.exposure.instance == expected.meta.exposure.instance


def test_a_stripe_is_taken_and_put_back() -> None:
    places = (place for _, place in KEYWORDS.values())
    keywords = dict(zip(places, (1, 0, 8, 0, 1, 0, 8, 3), strict=True))
    keywords |= {"fastaxis": 1, "slowaxis": 2}
    keywords |= {"xstart": 1, "ystart": 1, "xsize": PIXELS, "ysize": 9}
    subarray = SimpleNamespace(name="SUB64P", **keywords)
    ramp = ramp_of(ramp_of_stripes(subarray, 1, has_zeroframe=True, with_times=False))
    before = ramp.data.copy()
    stripe = take_stripe(ramp, 1)
    assert stripe.data.flags.c_contiguous and stripe.pixeldq.shape == (9, PIXELS)
    np.testing.assert_array_equal(stripe.data, before[1::3])
    stripe.data += 1.0
    stripe.pixeldq |= 1 << 20
    put_stripe(ramp, 1, stripe)
    np.testing.assert_array_equal(ramp.data[1::3], before[1::3] + np.float32(1.0))
    np.testing.assert_array_equal(ramp.data[::3], before[::3])
    assert list((ramp.pixeldq >> 20).max((1, 2))) == [0, 1, 0]


def test_the_reference_of_a_stripe() -> None:
    data = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    one = of_stripe(SuperBiasReference(data, data.astype(np.uint32), path="x"), 2, 3)
    np.testing.assert_array_equal(one.data, data[2])
    assert one.dq.shape == (4, 5) and one.path == "x"
    kernel = np.ones((3, 3), np.float32)
    assert of_stripe(IpcReference(kernel), 2, 3).kernel is kernel


def saved(model: Any, path: Any, *, reftype: str, **place: Any) -> Any:
    model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
    model.meta.reftype = reftype.upper()
    for name, value in place.items():
        setattr(model.meta.subarray, name, value)
    model.save(str(path))
    return path


@pytest.fixture
def dhs() -> Any:
    """Return the metadata of a multistripe exposure: two stripes and a line of reference pixels."""
    model = datamodels.RampModel()
    model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
    places = (place for _, place in KEYWORDS.values())
    for name, value in zip(places, (1, 10, 4, 6, 0, 0, 0, 0), strict=True):
        setattr(model.meta.subarray, name, value)
    for name, value in {"xstart": 11, "ystart": 1, "xsize": PIXELS, "ysize": 9}.items():
        setattr(model.meta.subarray, name, value)
    model.meta.subarray.name = "SUB41STRIPE1_DHS"
    model.meta.subarray.fastaxis, model.meta.subarray.slowaxis = -1, 2
    return model.meta


ROWS = [0, 11, 12, 13, 14, 21, 22, 23, 24]
WHOLE = {"xstart": 1, "ystart": 1, "xsize": 40, "ysize": DETECTOR_SIZE}


def load(path: Any, reftype: str, meta: Any) -> Any:
    source = References(lambda name: str(path) if name == reftype else None)
    return source.load(reftype, meta, (1, 2, 9, PIXELS))


def test_all_arrays_of_a_reference_are_arranged(tmp_path: Any, dhs: Any) -> None:
    random = np.random.default_rng(1)
    coefficients = random.normal(size=(3, DETECTOR_SIZE, 40)).astype(np.float32)
    dq = random.integers(0, 2, (DETECTOR_SIZE, 40)).astype(np.uint32)
    model = datamodels.LinearityModel(coeffs=coefficients, dq=dq)
    model.inv_coeffs = coefficients.copy()
    found = load(saved(model, tmp_path / "l.fits", reftype="linearity", **WHOLE), "linearity", dhs)
    columns = slice(10, 10 + PIXELS)
    np.testing.assert_array_equal(found.coefficients, coefficients[:, ROWS, columns])
    np.testing.assert_array_equal(found.dq, dq[ROWS, columns])
    # Parity: the official package forgets the inverse.
    assert found.inverse_coefficients is None


def test_a_reference_without_flags_has_none(tmp_path: Any, dhs: Any) -> None:
    gain = np.arange(DETECTOR_SIZE * 40, dtype=np.float32).reshape(DETECTOR_SIZE, 40)
    path = saved(datamodels.GainModel(data=gain), tmp_path / "g.fits", reftype="gain", **WHOLE)
    np.testing.assert_array_equal(load(path, "gain", dhs).data, gain[ROWS, 10 : 10 + PIXELS])


def test_a_reference_made_for_the_readout_is_taken_as_it_is(tmp_path: Any, dhs: Any) -> None:
    gain = np.arange(9 * PIXELS, dtype=np.float32).reshape(9, PIXELS)
    place = {"xstart": 11, "ystart": 1, "xsize": PIXELS, "ysize": 9}
    path = saved(datamodels.GainModel(data=gain), tmp_path / "g.fits", reftype="gain", **place)
    np.testing.assert_array_equal(load(path, "gain", dhs).data, gain)
    dhs.subarray.num_superstripe = 1
    with pytest.raises(ReferenceFileError, match="was read in stripes"):
        load(path, "gain", dhs)


@pytest.mark.parametrize(
    "place",
    [
        {"xstart": 1, "ystart": 1, "xsize": 15, "ysize": DETECTOR_SIZE},
        {"xstart": 12, "ystart": 1, "xsize": 15, "ysize": DETECTOR_SIZE},
        {"xstart": 1, "ystart": 1, "xsize": 40, "ysize": 100},
        {"xstart": 1, "ystart": 2, "xsize": 40, "ysize": DETECTOR_SIZE - 1},
    ],
)
def test_a_reference_that_lacks_pixels_is_refused(tmp_path: Any, dhs: Any, place: Any) -> None:
    gain = np.ones((place["ysize"], place["xsize"]), np.float32)
    path = saved(datamodels.GainModel(data=gain), tmp_path / "g.fits", reftype="gain", **place)
    with pytest.raises(ReferenceFileError, match=r"g\.fits: it covers .* was read in stripes"):
        load(path, "gain", dhs)
