"""The data-quality flags are the official ones, and so are those that parameters name."""

from __future__ import annotations

import re

import numpy as np
import pytest
from stcal.resample.utils import build_mask
from stdatamodels.jwst.datamodels import dqflags

from jwgpu.errors import ParameterError
from jwgpu.models import flags


def test_pixel_flags_are_official():
    assert dict(dqflags.pixel) == flags.PIXEL


def test_group_flags_are_official():
    assert dict(dqflags.group) == flags.GROUP
    assert all(value < 256 for value in flags.GROUP.values())


def test_constants_have_the_values_of_the_table():
    for name, value in dqflags.pixel.items():
        assert getattr(flags, name) == value
        assert type(getattr(flags, name)) is int


GOOD_BITS = ["~DO_NOT_USE", "DO_NOT_USE", "~DO_NOT_USE+NON_SCIENCE", "4,8", "0", "None", "~0", "3"]


@pytest.mark.parametrize("good_bits", [*GOOD_BITS, None])
def test_good_bits_are_official(good_bits):
    dq = (np.uint64(1) << np.arange(32, dtype=np.uint64)).astype(np.uint32)
    expected = build_mask(dq, good_bits, flag_name_map=dqflags.pixel)
    bad = np.uint32(flags.bad_flags("good_bits", good_bits))
    np.testing.assert_array_equal((dq & bad) == 0, expected == 1)


@pytest.mark.parametrize("good_bits", ["nonsense", "4+JUMP_DET", "3.5", "~"])
def test_good_bits_that_there_are_not(good_bits):
    with pytest.raises(ParameterError, match=f"dqbits={re.escape(good_bits)}: it names no flags"):
        flags.bad_flags("dqbits", good_bits)
