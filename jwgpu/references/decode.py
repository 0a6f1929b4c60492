"""From an open reference to what the steps use: one small function a reference type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np

from jwgpu.errors import NotYetError, ReferenceFileError
from jwgpu.kernels.irs2.layout import IMAGE_TIME, LINES
from jwgpu.models.stripes import StripedReadout
from jwgpu.references import geometry, photometry, trees, types
from jwgpu.references.cut import cut_to_exposure
from jwgpu.references.exposure import Exposure, Region
from jwgpu.references.flags import translate_flags
from jwgpu.references.sources import ModelSource, Source
from jwgpu.references.stripes import cut_to_stripes

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass
class Decoding:
    """One reference on its way from its file to an exposure.

    Parameters
    ----------
    source : Source
        The open reference.
    reftype : str
        Its type, in lower case.
    exposure : Exposure
    region : Region
        Part of the detector that the exposure read.
    planes : tuple of int, optional
        How many of the leading planes are needed, of each axis before (y, x); None for all.
    stripes : StripedReadout, optional
        How the exposure was read, if it was in stripes.
    """

    source: Source
    reftype: str
    exposure: Exposure
    region: Region
    planes: tuple[int, ...] | None = None
    stripes: StripedReadout | None = None
    is_arranged: bool = field(default=False, init=False)
    _cuts: dict[str, tuple[slice, slice]] = field(default_factory=dict, repr=False)

    @property
    def header(self) -> Mapping[str, Any]:
        """Keywords of the reference."""
        return self.source.header

    def common(self) -> dict[str, Any]:
        """Return the fields that every reference has."""
        return {"path": self.source.path, "header": self.header}

    def cut(self, main: str) -> tuple[slice, slice]:
        """Return the rows and columns to read of the image called `main`."""
        if main not in self._cuts:
            place = (self.source.path, self.header, self.shape(main), self.exposure, self.region)
            found = None
            if self.stripes is not None:
                found = cut_to_stripes(*place, self.stripes)
                self.is_arranged = found is not None
            self._cuts[main] = cut_to_exposure(*place) if found is None else found
        return self._cuts[main]

    def arranged(self, image: Array) -> Array:
        """Return an image that was read with `cut`, its lines as those of the exposure."""
        if self.stripes is None or not self.is_arranged:
            return image
        return self.stripes.arrange(image)

    def shape(self, name: str, dimensions: tuple[int, ...] = (2, 3, 4)) -> tuple[int, ...]:
        """Return the shape of an image, which must have one of these numbers of axes."""
        shape = self.source.shape(name)
        if shape is None:
            raise ReferenceFileError(
                f"{self.source.path}: has no {name} image, which a {self.reftype.upper()} "
                "reference needs"
            )
        if len(shape) not in dimensions:
            raise ReferenceFileError(
                f"{self.source.path}: its {name} image has the shape {shape}; "
                f"{' or '.join(map(str, dimensions))} axes are needed for {self.reftype.upper()}"
            )
        return shape

    def image(self, name: str, dimensions: int, main: str | None = None) -> Array:
        """Read a float32 image, cut to the exposure; of `main` the place on the detector."""
        self._check_size(name, self.shape(name, (dimensions,)), main or name)
        return self.arranged(self.source.array(name, np.float32, self.cut(main or name), None))

    def planes_of(self, name: str, shape: tuple[int, ...]) -> Array:
        """Read a float32 image with leading axes: only the planes that are needed."""
        wanted = self.planes or ()
        leading = [slice(0, length) for length in shape[:-2]]
        for axis, number in enumerate(wanted[-len(leading) :], max(len(leading) - len(wanted), 0)):
            leading[axis] = slice(0, min(number, shape[axis]))
        return self.arranged(self.source.array(name, np.float32, self.cut(name), tuple(leading)))

    def flags(self, main: str) -> Array:
        """Read the flags (y, x), cut and translated; none are set where the file has none."""
        shape = self.source.shape("DQ")
        if shape is None:
            rows, columns = self.cut(main)
            size = (rows.stop - rows.start, columns.stop - columns.start)
            return self.arranged(np.zeros(size, np.uint32))
        self._check_size("DQ", self.shape("DQ"), main)
        # MIRI's darks have flags for each integration, those of its first group for all groups.
        planes = (slice(None), slice(0, 1))[: len(shape) - 2]
        dq = self.source.array("DQ", np.uint32, self.cut(main), planes)
        if dq.ndim > 2:
            dq = np.bitwise_or.reduce(dq.reshape(-1, *dq.shape[-2:]), axis=0)
        table = None if isinstance(self.source, ModelSource) else self.source.table("DQ_DEF")
        if table and len(table.get("value", ())):
            if "name" not in table:
                raise ReferenceFileError(f"{self.source.path}: its DQ_DEF has no column NAME")
            translate_flags(dq, table["name"], table["value"], self.source.path)
        return self.arranged(dq)

    def number(self, keyword: str, kind: type[Any]) -> Any:
        """Return a keyword's value as `kind`, or None where it is absent."""
        value = self.header.get(keyword)
        try:
            return None if value is None else kind(value)
        except (TypeError, ValueError):
            raise ReferenceFileError(
                f"{self.source.path}: keyword {keyword} is {value!r}, not a number"
            ) from None

    def _check_size(self, name: str, shape: tuple[int, ...], main: str) -> None:
        expected = self.shape(main)[-2:]
        if shape[-2:] != expected:
            raise ReferenceFileError(
                f"{self.source.path}: its {name} image has the shape {shape}, its {main} image "
                f"{expected[0]} x {expected[1]} pixels; the file is not consistent"
            )


def decode(decoding: Decoding) -> types.Reference:
    """Decode a reference.

    Raises
    ------
    NotYetError
        If jwgpu does not know the type.
    ReferenceFileError
        If the file does not hold what its type needs, or does not fit the exposure.
    """
    decoder = _DECODERS.get(decoding.reftype)
    if decoder is None:
        raise NotYetError(
            f"{decoding.source.path}: references of type {decoding.reftype.upper()} cannot be "
            f"used yet; set override_{decoding.reftype} to N/A or skip the step"
        )
    return decoder(decoding)


def is_known(reftype: str) -> bool:
    """Whether references of this type can be decoded."""
    return reftype in _DECODERS


def arrays_of(reference: types.Reference) -> dict[str, Any]:
    """Return the arrays of a decoded reference by field."""
    values = {field.name: getattr(reference, field.name) for field in fields(reference)}
    return {name: value for name, value in values.items() if hasattr(value, "nbytes")}


def _mask(d: Decoding) -> types.Reference:
    d.shape("DQ", (2,))
    return types.MaskReference(d.flags("DQ"), **d.common())


def _saturation(d: Decoding) -> types.Reference:
    return types.SaturationReference(d.image("SCI", 2), d.flags("SCI"), **d.common())


def _superbias(d: Decoding) -> types.Reference:
    return types.SuperBiasReference(d.image("SCI", 2), d.flags("SCI"), **d.common())


def _ipc(d: Decoding) -> types.Reference:
    shape = d.shape("SCI", (2, 4))
    cut = d.cut("SCI") if len(shape) == 4 else None
    kernel = d.source.array("SCI", np.float32, cut, None)
    return types.IpcReference(kernel if cut is None else d.arranged(kernel), **d.common())


def _linearity(d: Decoding) -> types.Reference:
    coefficients = d.image("COEFFS", 3)
    # Parity: the official package forgets the inverse when it arranges the others in stripes.
    has_inverse = d.source.shape("INV_COEFFS") is not None and not d.is_arranged
    return types.LinearityReference(
        coefficients,
        d.flags("COEFFS"),
        d.image("INV_COEFFS", 3, main="COEFFS") if has_inverse else None,
        **d.common(),
    )


def _gain(d: Decoding) -> types.Reference:
    return types.GainReference(_image_or_mean(d), d.number("GAINFACT", float), **d.common())


def _readnoise(d: Decoding) -> types.Reference:
    return types.ReadNoiseReference(_image_or_mean(d), **d.common())


def _image_or_mean(d: Decoding) -> Array:
    """Read an image; of guide star strips butted together, which no part of it fits, its mean."""
    try:
        return d.image("SCI", 2)
    except ReferenceFileError:
        if "STACK" not in str(d.exposure.keywords.get("EXP_TYPE")):
            raise
        mean = d.source.array("SCI", np.float32, None, None).mean()
        return np.full((d.region.y_size, d.region.x_size), mean, np.float32)


def _dark(d: Decoding) -> types.Reference:
    shape = d.shape("SCI", (3, 4))
    has_average = d.source.shape("AVDRKCUR") is not None
    return types.DarkReference(
        d.planes_of("SCI", shape),
        d.flags("SCI"),
        average_dark_current=d.image("AVDRKCUR", 2, main="SCI") if has_average else None,
        average_dark_current_value=d.number("AVDRKCUR", float),
        nframes=d.number("NFRAMES", int),
        ngroups=d.number("NGROUPS", int),
        groupgap=d.number("GROUPGAP", int),
        planes_in_file=shape[:-2],
        **d.common(),
    )


def _flat(d: Decoding) -> types.Reference:
    if d.shape("SCI")[-2] < d.region.y_size and "STACK" in str(d.exposure.keywords.get("EXP_TYPE")):
        # Guide star strips, butted together, are more rows than there are: for the step to judge.
        whole = d.source.array("SCI", np.float32, None, None)
        return types.FlatReference(whole, np.zeros(whole.shape, np.uint32), **d.common())
    has_errors = d.source.shape("ERR") is not None
    errors = d.image("ERR", 2, main="SCI") if has_errors else None
    return types.FlatReference(d.image("SCI", 2), d.flags("SCI"), errors, **d.common())


def _pictureframe(d: Decoding) -> types.Reference:
    # Full frames only, whose files say nothing of a subarray.
    shape = d.shape("SCI", (2,))
    if shape != (d.region.y_size, d.region.x_size):
        raise ReferenceFileError(
            f"{d.source.path}: its SCI image has the shape {shape}, the exposure "
            f"{d.region.y_size} x {d.region.x_size} pixels; correct override_pictureframe"
        )
    return types.PictureFrameReference(d.source.array("SCI", np.float32, None, None), **d.common())


def _reset(d: Decoding) -> types.Reference:
    shape = d.shape("SCI", (4,))
    return types.ResetReference(
        d.planes_of("SCI", shape),
        d.flags("SCI"),
        nints=d.number("NINTS", int),
        ngroups=d.number("NGROUPS", int),
        planes_in_file=shape[:-2],
        **d.common(),
    )


def _trapdensity(d: Decoding) -> types.Reference:
    return types.TrapDensityReference(d.image("SCI", 2), d.flags("SCI"), **d.common())


def _persat(d: Decoding) -> types.Reference:
    return types.PersistenceSaturationReference(d.image("SCI", 2), d.flags("SCI"), **d.common())


def _trappars(d: Decoding) -> types.Reference:
    table = d.source.table("TRAPPARS") or {}
    names = ("capture0", "capture1", "capture2", "decay_param")
    if any(name not in table or not len(table[name]) for name in names):
        raise ReferenceFileError(
            f"{d.source.path}: has no table TRAPPARS with rows in {', '.join(names)}"
        )
    rows = np.stack([np.asarray(table[name], np.float64) for name in names], axis=1)
    return types.TrapParametersReference(rows, **d.common())


def _rscd(d: Decoding) -> types.Reference:
    table = d.source.table("RSCD_GROUP_SKIP")
    wanted = {"subarray": "U17", "readpatt": "U12", "group_skip1": "i4", "group_skip": "i4"}
    missing = [name for name in wanted if name not in (table or {}) and name != "group_skip1"]
    if table is None or missing:
        raise ReferenceFileError(
            f"{d.source.path}: has no table RSCD_GROUP_SKIP with the columns "
            f"{', '.join(wanted)}; older RSCD references are of no use to release 3.0"
        )
    rows = np.full(len(table["group_skip"]), -1, dtype=list(wanted.items()))
    for name in wanted:
        if name in table:
            rows[name] = table[name]
    return types.RscdReference(rows, **d.common())


def _refpix(d: Decoding) -> types.Reference:
    table = d.source.table("IRS2") or {}
    rows = 2 * IMAGE_TIME  # real and imaginary parts take turns
    filters = []
    for name in ("alpha", "beta"):
        columns = [table.get(f"{name}_{amplifier}") for amplifier in range(4)]
        if any(column is None or column.shape != (rows,) for column in columns):
            raise ReferenceFileError(
                f"{d.source.path}: has no table IRS2 with the columns alpha_0 … beta_3 of {rows} "
                "rows, which the IRS2 readout needs"
            )
        filters.append(np.stack([_real_part_of_filter(column) for column in columns]))
    bad = d.source.table("DQ")
    alpha, beta = filters
    if bad is None or not len(bad.get("mask", ())):
        return types.RefPixReference(alpha, beta, **d.common())
    pixels = np.stack([np.asarray(bad[k], np.int64) for k in ("output", "odd_even", "mask")], 1)
    return types.RefPixReference(alpha, beta, pixels, **d.common())


def _real_part_of_filter(column: Any) -> Array:
    """Return the Hermitian part of a filter, complex64, with the frequencies arranged by lines."""
    values = np.ascontiguousarray(column, np.float32).view(np.complex64)
    mirrored = np.concatenate([values[:1], values[:0:-1]])
    part = (values + mirrored.conj()) * np.complex64(0.5)
    return np.ascontiguousarray(part.reshape(-1, LINES)[:, : LINES // 2 + 1])


def _sirskernel(d: Decoding) -> types.Reference:
    detector = str(d.exposure.keywords.get("DETECTOR")).lower()
    found = [d.source.entry(detector, name) for name in ("gamma", "zeta")]
    if any(part is None for part in found):
        return types.SirsKernelReference(**d.common())
    gamma, zeta = (np.ascontiguousarray(part, np.complex128) for part in found)
    if gamma.ndim != 2 or gamma.shape != zeta.shape or gamma.shape[0] != 4 or gamma.shape[1] < 2:
        raise ReferenceFileError(
            f"{d.source.path}: gamma and zeta of {detector} have the shapes {gamma.shape} and "
            f"{zeta.shape}; (4, frequencies) is needed, the same for both"
        )
    return types.SirsKernelReference(gamma, zeta, **d.common())


_DECODERS: Mapping[str, Callable[[Decoding], types.Reference]] = {
    "mask": _mask,
    "saturation": _saturation,
    "superbias": _superbias,
    "ipc": _ipc,
    "linearity": _linearity,
    "gain": _gain,
    "readnoise": _readnoise,
    "dark": _dark,
    "flat": _flat,
    "pictureframe": _pictureframe,
    "reset": _reset,
    "rscd": _rscd,
    "refpix": _refpix,
    "sirskernel": _sirskernel,
    "emicorr": trees.emicorr,
    "distortion": geometry.distortion,
    "filteroffset": geometry.filteroffset,
    "photom": photometry.photom,
    "area": photometry.area,
    "apcorr": photometry.apcorr,
    "abvegaoffset": photometry.abvegaoffset,
    "trapdensity": _trapdensity,
    "trappars": _trappars,
    "persat": _persat,
}
