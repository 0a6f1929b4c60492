"""Errors that a user may see: one line that names the file, what is wrong and what to do."""

from __future__ import annotations


class JwgpuError(Exception):
    """Base of every error raised on purpose; the command line shows it without a traceback."""

    exit_status = 1


class InputError(JwgpuError):
    """The exposure cannot be read, or is not what the pipeline needs."""


class ReferenceFileError(JwgpuError):
    """A reference file is missing, unreadable, or does not fit the exposure."""


class ProductError(JwgpuError):
    """A product cannot be written (folder not writable, disk full)."""


class DeviceError(JwgpuError):
    """The device asked for is not there, or arrays of different devices were mixed."""


class NotYetError(JwgpuError):
    """A mode or option of the official package that jwgpu does not have yet."""


class ParameterError(JwgpuError):
    """A step or parameter is unknown, or its value is out of range."""

    exit_status = 2


class TooLittleMemoryError(ParameterError):
    """Not even the smallest blocks of an exposure fit into the memory that there is."""


class WholeExposureError(NotYetError):
    """The exposure does not fit into the memory, and cannot be calibrated in blocks."""


class NoScienceDataError(JwgpuError):
    """The input holds no data that this pipeline calibrates."""

    exit_status = 64
