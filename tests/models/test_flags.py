"""The data-quality flags are the official ones."""

from __future__ import annotations

from stdatamodels.jwst.datamodels import dqflags

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
