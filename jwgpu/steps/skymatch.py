"""Measure the sky of images, or match it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jwgpu.errors import InputError, ParameterError
from jwgpu.kernels.sky_statistics import Limits
from jwgpu.models.flags import bad_flags
from jwgpu.models.images import Image
from jwgpu.models.library import Library
from jwgpu.steps.base import param
from jwgpu.steps.library_step import LibraryStep
from jwgpu.steps.sky_levels import NOTHING, Level, Statistic, matched, usable
from jwgpu.steps.suffixes import remove_suffix
from jwgpu.wcs.overlaps import outline_of, overlap, spans_within, whole_image

log = logging.getLogger(__name__)


@dataclass
class Sky:
    """What is known of the sky of an image.

    Attributes
    ----------
    name : str
        Of its file.
    level : float
        What was subtracted before, and what has been found since.
    outline : array or None
        See `wcs.overlaps`.
    changes : list
        What is to be subtracted, one after the other.
    is_known : bool
        Whether a level was found.
    """

    name: str
    level: Any
    outline: Any = None
    changes: list[Any] = field(default_factory=list)
    is_known: bool = False

    def add(self, change: Any) -> None:
        """Take a further level into account."""
        self.level += change
        self.changes.append(change)

    def subtract_from(self, data: Any) -> None:
        """Subtract the changes in place: each by itself, for each is rounded."""
        for change in self.changes:
            data -= change


#: Arrays of an image that count.
_ARRAYS = ("data", "dq")


class SkyMatchStep(LibraryStep):
    """Measure the sky level of images, or what makes them agree where they overlap.

    ``local`` takes the level of each exposure, ``global`` the lowest of these for all. ``match``
    finds the differences between exposures by least squares over all overlaps, and ``global+match``
    the level that is left. ``user`` takes levels from a file. The level goes to the keyword
    BKGLEVEL; outlier_detection and resample subtract it, if it is not subtracted here.
    """

    class_alias = "skymatch"
    sets_status = True

    skymethod: str = param(
        "match",
        options=("local", "global", "match", "global+match", "user"),
        help="How levels are found",
    )
    match_down: bool = param(True, help="Match to the lowest sky, else to the highest")
    subtract: bool = param(False, help="Subtract the levels")
    skylist: str | None = param(None, help="File of names and levels, for skymethod user")
    stepsize: int | None = param(None, help="Pixels between corners of an image's outline")
    skystat: str = param(
        "mode", options=("median", "midpt", "mean", "mode"), help="What is taken for the level"
    )
    dqbits: str = param("~DO_NOT_USE+NON_SCIENCE", help="Flags of pixels that count")
    lower: float | None = param(None, help="Least value that counts")
    upper: float | None = param(None, help="Largest value that counts")
    nclip: int = param(5, low=0, help="How often outliers are clipped")
    lsigma: float = param(4.0, low=0.0, help="Where they are clipped below, in sigma")
    usigma: float = param(4.0, low=0.0, help="Where they are clipped above, in sigma")
    binwidth: float = param(0.1, low=0.0, help="Bins of mode and midpt, in sigma")
    in_memory: bool = param(True, help="Keep all images in memory")

    def correct(self, library: Library) -> None:
        """Measure the sky of each image.

        Parameters
        ----------
        library : Library
            Calibrated images with their geometry. Images of one group have one sky.

        Raises
        ------
        InputError
            If an image lacks its geometry, or its sky was treated otherwise before; if the list of
            levels does not fit.
        ParameterError
            If flags are unknown, or no list is given.
        """
        if self.skymethod == "user":
            self._set_given(library)
            return
        self._statistic = self._chosen_statistic()
        self._bad_flags = bad_flags("dqbits", self.dqbits)
        skies = list(library.map(self._look_at, modify=False, names=_ARRAYS))
        groups = [list(indices) for indices in library.groups.values()]
        if "match" in self.skymethod:
            self._match(library, skies, groups)
        if self.skymethod != "match":
            self._measure(library, skies, groups)
        self._set_all(library, skies)

    # -- what the parameters say ----------------------------------------------------------------

    def _chosen_statistic(self) -> Statistic:
        limits = Limits(self.lower, self.upper, self.nclip, self.lsigma, self.usigma)
        statistic = Statistic(self.skystat, limits, self.binwidth)
        if not statistic.is_possible:
            log.warning("skymatch: lsigma, usigma and binwidth must not be 0: there is no level")
        if self.stepsize is not None and self.stepsize < 1:
            raise ParameterError(f"stepsize={self.stepsize}: it must be 1 or larger")
        return statistic

    # -- images ---------------------------------------------------------------------------------

    def _look_at(self, image: Image, index: int) -> Sky:
        """Check an image, and find its outline."""
        del index
        name, background = str(image.meta.filename), image.meta.background
        if image.data.ndim != 2:
            raise InputError(f"{name}: skymatch takes single images, this is a series of them")
        if (background.subtracted is None) != (background.level is None):
            raise InputError(f"{name}: has one of BKGLEVEL and BKGSUB, not both; remove it")
        if background.subtracted not in (None, self.subtract):
            was = "was" if background.subtracted else "was not"
            raise InputError(
                f"{name}: its sky {was} subtracted before (BKGSUB): give "
                f"subtract={background.subtracted}, or take an image without"
            )
        level = background.level if background.subtracted else None
        sky = Sky(name, 0.0 if level is None else level)
        if "match" in self.skymethod:
            if not image.meta.hasattr("wcs") or image.meta.wcs is None:
                raise InputError(f"{name}: has no geometry; run assign_wcs first")
            sky.outline = outline_of(image.wcs, image.data.shape, self.stepsize)
            if sky.outline is None:
                raise InputError(f"{name}: a corner of it has no place on the sky")
        return sky

    def _levels(self, image: Image, data: Any, spans: list[Any]) -> list[Level]:
        """Measure regions of an image, where there is room for it."""
        levels: list[Level] = self.session.where_there_is_room(
            lambda: self._levels_here(image, data, spans)
        )
        return levels

    def _levels_here(self, image: Image, data: Any, spans: list[Any]) -> list[Level]:
        """Measure regions of an image on the device of this moment."""
        device = self.session.device
        values = usable(device.send(data), device.send(image.dq), self._bad_flags)
        most = max(each.shape[1] for each in spans)
        together = np.zeros((len(spans), len(data), most, 2), np.int32)
        for region, each in zip(together, spans, strict=True):
            region[:, : each.shape[1]] = each
        return self._statistic.of(values, together, device)

    # -- match ----------------------------------------------------------------------------------

    def _match(self, library: Library, skies: list[Sky], groups: list[list[int]]) -> None:
        """Find the differences between groups."""
        n = len(groups)
        # Sums of Python's and NumPy's numbers, as they come: see `Level`.
        totals: list[list[Any]] = [[0.0] * n for _ in range(n)]
        weights = np.zeros((n, n), np.int64)
        with library:
            for number, indices in enumerate(groups):
                for index in indices:
                    shared = self._shared(skies, groups, number, index)
                    if not shared:
                        continue
                    image = library.borrow(index, *_ARRAYS)
                    for other, level in self._levels_within(image, shared):
                        if level.value is not None:
                            weights[number, other] += level.n
                            # The level of a group is the mean over its images.
                            factor = level.n if len(indices) > 1 else 1
                            totals[number][other] += level.value * factor
                    library.shelve(image, index, modify=False)
        for number, indices in enumerate(groups):
            if len(indices) > 1:
                means = zip(totals[number], weights[number], strict=True)
                totals[number] = [total / max(int(n), 1) for total, n in means]
        found = matched(np.array(totals, np.float64), weights)
        is_found = np.isfinite(found)
        if is_found.any():
            found -= (np.min if self.match_down else np.max)(found[is_found])
        self._add(skies, groups, [float(one) if np.isfinite(one) else None for one in found])

    @staticmethod
    def _shared(
        skies: list[Sky], groups: list[list[int]], number: int, index: int
    ) -> dict[int, list[Any]]:
        """Return the polygons that an image of a group shares with each other group."""
        shared = {}
        for other, indices in enumerate(groups):
            if other != number:
                outlines = [skies[k].outline for k in indices]
                polygons = [p for one in outlines for p in overlap(skies[index].outline, one)]
                if polygons:
                    shared[other] = polygons
        return shared

    def _levels_within(self, image: Image, shared: dict[int, list[Any]]) -> list[tuple[int, Level]]:
        """Measure an image within what it shares with each group."""
        corners = np.vstack([polygon for polygons in shared.values() for polygon in polygons])
        x, y = image.wcs.invert(corners[:, 0], corners[:, 1], with_bounding_box=False)
        places, done = np.column_stack([x, y]), 0
        spans = []
        for polygons in shared.values():
            parts = []
            for polygon in polygons:
                part = places[done : done + len(polygon)]
                done += len(polygon)
                if np.isfinite(part).all():
                    parts.append(part)
            spans.append(spans_within(parts, image.data.shape))
        return list(zip(shared, self._levels(image, image.data, spans), strict=True))

    # -- local, global --------------------------------------------------------------------------

    def _measure(self, library: Library, skies: list[Sky], groups: list[list[int]]) -> None:
        """Find the level of each group, which is the lowest of its images, or of all."""

        def measure(image: Image, index: int) -> Level:
            data = image.data
            if self.subtract and skies[index].changes:
                data = data.copy()
                skies[index].subtract_from(data)
            (level,) = self._levels(image, data, [whole_image(data.shape)])
            return level

        levels = list(library.map(measure, modify=False, names=_ARRAYS))
        lowest = []
        for indices in groups:
            found = [self._left(levels[k], skies[k]) for k in indices]
            lowest.append(min((one for one in found if one is not None), default=None))
        if self.skymethod == "local":
            self._add(skies, groups, lowest)
            return
        known = [one for one in lowest if one is not None]
        if not known:
            log.warning("skymatch: no image has a sky that can be measured")
            return
        log.info("skymatch: the lowest sky is %G", min(known))
        self._add(skies, groups, [min(known)] * len(groups))

    def _left(self, level: Level, sky: Sky) -> Any:
        """Return what of a level is not yet known of."""
        if level == NOTHING or self.subtract:  # then the data are without it
            return level.value
        return level.value - sky.level

    @staticmethod
    def _add(skies: list[Sky], groups: list[list[int]], changes: list[Any]) -> None:
        """Give each group its change; None where there is none."""
        for indices, change in zip(groups, changes, strict=True):
            for index in indices:
                skies[index].is_known = change is not None
                if change is None:
                    log.warning("skymatch: %s: no sky level can be computed", skies[index].name)
                else:
                    skies[index].add(change)

    # -- results --------------------------------------------------------------------------------

    def _set_all(self, library: Library, skies: list[Sky]) -> None:
        """Write the levels into the images, and subtract them."""

        def describe(model: Any, index: int) -> None:
            sky = skies[index]
            if sky.is_known:
                self._describe(model.meta, sky.level)
                log.info("skymatch: %s: sky %G", sky.name, sky.level)
            model.meta.cal_step.skymatch = "COMPLETE" if sky.is_known else "SKIPPED"

        if self.subtract:
            for _ in library.map(
                lambda image, k: skies[k].subtract_from(image.data), ("data",), _ARRAYS
            ):
                pass
        library.describe(describe)

    def _describe(self, meta: Any, level: Any) -> None:
        meta.background.method = self.skymethod
        meta.background.level = float(level)
        meta.background.subtracted = self.subtract

    def _set_given(self, library: Library) -> None:
        """Take the levels from the list."""
        levels = self._given()
        if len(levels) != len(library):
            raise InputError(
                f"{self.skylist}: has {len(levels)} levels for {len(library)} images: give one each"
            )
        names: list[str] = []
        library.describe(lambda model, _: names.append(str(model.meta.filename)))
        skies = []
        for name in names:
            stem = remove_suffix(Path(name).stem)[0]
            found = [level for given, level in levels if given == stem]
            if len(found) != 1:
                raise InputError(f"{self.skylist}: has {len(found)} levels for {name}: give one")
            skies.append(Sky(name, found[0], changes=found, is_known=True))
        self._set_all(library, skies)

    def _given(self) -> list[tuple[str, float]]:
        """Read the list: of each line the name without suffix, and the level."""
        if self.skylist is None:
            raise ParameterError("skymethod=user: give skylist=FILE, of names and levels")
        path = self.make_input_path(self.skylist)
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: the list of levels cannot be read ({error})") from error
        found = []
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            try:
                if words:
                    name, text_of_level = words
                    level = float(np.float32(text_of_level))  # quirk: in single precision
                    if not np.isfinite(level):
                        raise ValueError
                    found.append((remove_suffix(Path(name).stem)[0], level))
            except ValueError:
                raise InputError(
                    f"{path}: line {number} is not a name and a level: {line.strip()}"
                ) from None
        return found
