"""What a reference file is once decoded: arrays ready for a step, and nothing of its file format.

Arrays are C-contiguous and native-endian, cut to the exposure's subarray, and live on the
exposure's device. Flags (``dq``) carry the official bits of :mod:`jwgpu.models.flags`, translated
through the file's own definitions. NaN values are those of the file: what they mean is for the
step to say.

A reference may be shared between the steps and exposures of one call: never change one in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Array: TypeAlias = Any


@dataclass(kw_only=True)
class Reference:
    """What every reference has.

    Parameters
    ----------
    path : str
        Name of the file, or of the open model that stood in for one.
    header : mapping
        Keywords of the primary header, and their values.
    """

    path: str = ""
    header: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class MaskReference(Reference):
    """Bad pixels: ``dq`` (y, x) uint32."""

    dq: Array


@dataclass
class SaturationReference(Reference):
    """Saturation threshold: ``data`` (y, x) float32 in DN, ``dq`` (y, x) uint32."""

    data: Array
    dq: Array


@dataclass
class SuperBiasReference(Reference):
    """Bias: ``data`` (y, x) float32 in DN, ``dq`` (y, x) uint32."""

    data: Array
    dq: Array


@dataclass
class IpcReference(Reference):
    """Interpixel-capacitance kernel, float32.

    ``kernel`` is (ky, kx) for the whole detector, or (ky, kx, y, x) for one kernel a pixel.
    """

    kernel: Array


@dataclass
class LinearityReference(Reference):
    """Polynomials that straighten the ramp of each pixel.

    Parameters
    ----------
    coefficients : array, (n, y, x) float32
        Measured to true DN, the constant term first.
    dq : array, (y, x) uint32
    inverse_coefficients : array, (m, y, x) float32, optional
        True to measured DN.
    """

    coefficients: Array
    dq: Array
    inverse_coefficients: Array | None = None


@dataclass
class GainReference(Reference):
    """Gain: ``data`` (y, x) float32 in electrons per DN; ``gain_factor`` is keyword GAINFACT."""

    data: Array
    gain_factor: float | None = None


@dataclass
class ReadNoiseReference(Reference):
    """Read noise of a difference of two frames: ``data`` (y, x) float32 in DN."""

    data: Array


@dataclass
class DarkReference(Reference):
    """Accumulated dark signal.

    Parameters
    ----------
    data : array, (groups, y, x) or, for MIRI, (ints, groups, y, x), float32
        In DN. Holds only the leading planes where fewer were asked for.
    dq : array, (y, x) uint32
    average_dark_current : array, (y, x) float32, optional
        In electrons per second.
    average_dark_current_value : float, optional
        The same for the whole detector (keyword AVDRKCUR).
    nframes, groupgap : int, optional
        Frames averaged in a group of the dark, and frames dropped between groups.
    ngroups : int, optional
        Groups that the header claims (keyword NGROUPS).
    planes_in_file : tuple of int
        The leading axes of the file: (groups,) or (ints, groups), whatever of them is in ``data``.
    """

    data: Array
    dq: Array
    average_dark_current: Array | None = None
    average_dark_current_value: float | None = None
    nframes: int | None = None
    ngroups: int | None = None
    groupgap: int | None = None
    planes_in_file: tuple[int, ...] = ()


@dataclass
class FlatReference(Reference):
    """Flat field: ``data`` (y, x) float32, ``dq`` (y, x) uint32, ``err`` (y, x) float32 or None."""

    data: Array
    dq: Array
    err: Array | None = None


@dataclass
class PictureFrameReference(Reference):
    """Thermal pattern of NIRSpec's detectors: ``data`` (y, x) float32, a count rate."""

    data: Array


@dataclass
class ResetReference(Reference):
    """Decay after the reset of MIRI's detectors.

    Parameters
    ----------
    data : array, (ints, groups, y, x) float32
        In DN. Holds only the leading planes where fewer were asked for.
    dq : array, (y, x) uint32
    nints, ngroups : int, optional
        Integrations and groups that the header claims (keywords NINTS, NGROUPS).
    planes_in_file : tuple of int
        (ints, groups) of the file, whatever of them is in ``data``.
    """

    data: Array
    dq: Array
    nints: int | None = None
    ngroups: int | None = None
    planes_in_file: tuple[int, ...] = ()


@dataclass
class RscdReference(Reference):
    """Groups to skip at the start of an integration.

    ``rows`` is a structured NumPy array with the columns ``subarray`` and ``readpatt`` (str),
    ``group_skip1`` (first integration; -1 where an old file lacks it) and ``group_skip`` (others).
    """

    rows: Any


@dataclass
class RefPixReference(Reference):
    """How NIRSpec's IRS2 readout uses its reference output and interleaved reference pixels.

    Parameters
    ----------
    alpha, beta : array, (4, 712, 1025) complex64
        Filters of each amplifier for the reference output and for its reference pixels, only the
        part of them that keeps a real series real (what else a file has is imaginary, and nothing
        comes of it). Frequency ``i + 2048 * k`` is at ``[k, i]``; those left out mirror the others.
    bad_pixels : array, (n, 3) int64, optional
        Amplifier (1 to 4), pair (1 or 2) and bit mask of its visits to the reference pixels that
        are bad. None: the file has no DQ table.
    """

    alpha: Array
    beta: Array
    bad_pixels: Array | None = None


@dataclass
class SirsKernelReference(Reference):
    """Fourier coefficients of the kernels of "simple improved reference subtraction".

    ``gamma`` (amplifiers, n) complex128 is for the left reference pixels, ``zeta`` for the right
    ones; None: the file has none for the exposure's detector.
    """

    gamma: Array | None = None
    zeta: Array | None = None


@dataclass
class EmiFrequency:
    """A frequency of interference: in Hz, and one turn of its ``waveform``, (bins,) float64."""

    frequency: float
    waveform: Any


@dataclass
class EmiCase:
    """How a subarray is clocked, and which frequencies disturb it.

    Parameters
    ----------
    row_clocks, frame_clocks : int
        Cycles of the pixel clock from row to row, and in a reset frame.
    fast : tuple of str
        Names of frequencies in fast mode, in the order of their removal.
    slow : mapping
        The same in slow mode, by detector.
    """

    row_clocks: int
    frame_clocks: int
    fast: tuple[str, ...]
    slow: Mapping[str, tuple[str, ...]]


@dataclass
class EmiReference(Reference):
    """Electromagnetic interference of MIRI: frequencies by name, and cases by subarray.

    Full frames have a case for each speed: FULL_FAST and FULL_SLOW. Waveforms are on the host.
    """

    frequencies: Mapping[str, EmiFrequency]
    cases: Mapping[str, EmiCase]


@dataclass
class TrapDensityReference(Reference):
    """Density of charge traps, 1 in the median: ``data`` (y, x) float32, ``dq`` (y, x) uint32."""

    data: Array
    dq: Array


@dataclass
class PersistenceSaturationReference(Reference):
    """Signal that fills all traps: ``data`` (y, x) float32 in DN, ``dq`` (y, x) uint32."""

    data: Array
    dq: Array


@dataclass
class TrapParametersReference(Reference):
    """Families of traps.

    ``rows`` is a NumPy array (families, 4) float64 with the columns capture0, capture1, capture2
    and decay_param: exponential capture, minus its rate (1/s), instantaneous capture, and minus
    the rate of release (1/s).
    """

    rows: Any


@dataclass
class DistortionReference(Reference):
    """Geometry of a detector.

    Parameters
    ----------
    transform : astropy.modeling.Model
        Pixel of the full detector, from (0, 0), to (V2, V3) in arcsec. Never change it: copy it.
    bounding_box : tuple, optional
        Where the transform holds, ((x, x), (y, y)) in pixels.
    """

    transform: Any
    bounding_box: Any = None


@dataclass
class FilterOffsetReference(Reference):
    """Shifts of the image by filters.

    ``rows`` are mappings with ``filter``, ``pupil``, ``column_offset`` and ``row_offset`` (pixels).
    """

    rows: Any


@dataclass
class PhotomReference(Reference):
    """Conversion from count rates to surface brightness, for images.

    Parameters
    ----------
    table : mapping of str to array, (rows,)
        Columns by lower-case name: ``photmjsr`` in MJy/sr per DN/s, ``uncertainty``, and what the
        rows are chosen by, such as ``filter``, ``pupil`` and ``subarray``.
    changes : mapping of str to mapping
        How the throughput changes over time: ``linear``, ``exponential``, ``powerlaw`` to columns
        that have the same rows.
    area_sr, area_arcsec2 : float, optional
        Average area of a pixel (keywords PIXAR_SR and PIXAR_A2).
    """

    table: Mapping[str, Any]
    changes: Mapping[str, Mapping[str, Any]]
    area_sr: float | None = None
    area_arcsec2: float | None = None


@dataclass
class AreaReference(Reference):
    """Area of each pixel relative to the average.

    Parameters
    ----------
    data : array, (y, x) float32
    area_sr, area_arcsec2 : float, optional
        The average (keywords PIXAR_SR and PIXAR_A2).
    """

    data: Array
    area_sr: float | None = None
    area_arcsec2: float | None = None


@dataclass
class ApcorrReference(Reference):
    """Circular apertures for images, and what they miss of a point source.

    ``table`` maps lower-case names to columns: ``eefraction`` (share of the light within),
    ``radius``, ``skyin`` and ``skyout`` (pixels), ``apcorr`` (all light over that within), and what
    the rows are chosen by: ``filter``, ``pupil``, ``subarray``.
    """

    table: Mapping[str, Any]


@dataclass
class ABVegaOffsetReference(Reference):
    """From AB to Vega magnitudes.

    ``table`` maps names to columns: ``abvega_offset`` (AB minus Vega magnitude), and what the rows
    are chosen by: ``detector``, ``filter``, ``pupil``.
    """

    table: Mapping[str, Any]
