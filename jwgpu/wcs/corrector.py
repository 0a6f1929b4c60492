"""What tweakwcs aligns: the geometry of an image, which it moves in its tangent plane.

The corrector of tweakwcs copies the whole geometry several times for each image. This one shares
it, and makes the corrected geometry once, when it is asked for.
"""

from __future__ import annotations

import math
from copy import copy, deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tweakwcs.correctors import JWSTWCSCorrector

from jwgpu.wcs.outlines import unit_vectors

#: Arcsec in a radian: the plane is in arcsec, its projection in radians.
_ARCSEC = 3600 * 180 / math.pi

#: Columns and rows of the middle of a plane, and of what is one arcsec to each side.
_CROSS = np.array([[0.0, 1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, -1.0]])


class ImageCorrector(JWSTWCSCorrector):
    """The geometry of an image, and where it moves.

    Parameters
    ----------
    wcs : gwcs.WCS
        Without a correction: frames ``detector``, ``v2v3``, perhaps ``v2v3vacorr``, and the sky.
    wcsinfo : dict
        ``v2_ref``, ``v3_ref`` (arcsec) and ``roll_ref`` (degrees): the middle of the plane.
    meta : dict
        ``catalog``, ``name`` and ``group_id``.

    Raises
    ------
    ValueError
        If the geometry has other frames.
    """

    def __init__(self, wcs: Any, wcsinfo: dict[str, float], meta: dict[str, Any]) -> None:
        is_known, why = self._check_wcs_structure(wcs)
        if not is_known or "v2v3corr" in wcs.available_frames:
            raise ValueError(why or "it has a correction")
        self._owcs = wcs
        self._wcs: Any = wcs
        self._is_copy = False
        self._wcsinfo = dict(wcsinfo)
        self._meta = dict(meta)
        frames = wcs.available_frames
        self._v23name = "v2v3vacorr" if "v2v3vacorr" in frames else "v2v3"
        n_steps = frames.index(self._v23name)
        transforms = [step.transform for step in wcs.pipeline[:-1]]
        self._to_v23, self._to_sky = transforms[:n_steps], transforms[n_steps:]
        self._rotation = _rotation(wcsinfo)
        self._matrix, self._shift = np.eye(2), np.zeros(2)  # in radians of the plane

    def __deepcopy__(self, memo: dict[int, Any]) -> ImageCorrector:
        """Copy what changes: what was done so far."""
        other = copy(self)
        other._meta = dict(self._meta)
        other._wcs, other._is_copy = None, True
        return other

    @property
    def wcs(self) -> Any:
        """The geometry as corrected."""
        if self._is_copy:  # tweakwcs takes away its bounding box
            self._owcs, self._is_copy = _with_own_box(self._owcs), False
        if self._wcs is None:
            self._wcs = self._corrected()
        return self._wcs

    @property
    def is_moved(self) -> bool:
        """Whether there is a correction."""
        return bool((self._matrix != np.eye(2)).any() or self._shift.any())

    def set_correction(
        self,
        matrix: Any = ((1, 0), (0, 1)),
        shift: Any = (0, 0),
        ref_tpwcs: Any = None,
        meta: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Move the image; tweakwcs calls this.

        Parameters
        ----------
        matrix : array, (2, 2)
        shift : array, (2,)
            In arcsec, after the matrix.
        ref_tpwcs : WCSCorrector, optional
            Whose plane they are meant in, if not in this one's.
        meta : dict, optional
            Added to that of the corrector.
        """
        matrix, shift = np.array(matrix, float), np.array(shift, float)
        if ref_tpwcs is not None:
            turn, offset = self._from_plane_of(ref_tpwcs)
            matrix = turn @ matrix @ np.linalg.inv(turn)
            shift = turn @ shift - matrix @ offset + offset
        self._matrix = matrix @ self._matrix
        self._shift = matrix @ self._shift + shift / _ARCSEC
        self._wcs = None
        self._meta.update(matrix=matrix, shift=shift, **(meta or {}))

    def det_to_world(self, x: Any, y: Any) -> Any:
        """Return the sky at pixels, in degrees."""
        return _through(self._to_sky, self._focal_plane(x, y))

    def det_to_tanp(self, x: Any, y: Any) -> Any:
        """Return the plane at pixels, in arcsec."""
        return self._to_plane(self._focal_plane(x, y))

    def tanp_to_det(self, x: Any, y: Any) -> Any:
        """Return the pixels at places on the plane, in arcsec."""
        places = self._off_plane((x, y))
        if self.is_moved:
            places = self._off_plane(self._to_plane(places, moved=False))
        return _through([one.inverse for one in reversed(self._to_v23)], places)

    def world_to_tanp(self, ra: Any, dec: Any) -> Any:
        """Return the plane at places on the sky, in degrees."""
        back = [transform.inverse for transform in reversed(self._to_sky)]
        return self._to_plane(_through(back, (ra, dec)))

    def tanp_to_world(self, x: Any, y: Any) -> Any:
        """Return the sky at places on the plane, in arcsec."""
        return _through(self._to_sky, self._off_plane((x, y)))

    def world_to_det(self, ra: Any, dec: Any) -> Any:
        """Return the pixels at places on the sky, in degrees."""
        return self.tanp_to_det(*self.world_to_tanp(ra, dec))

    def _focal_plane(self, x: Any, y: Any) -> Any:
        """Return (V2, V3) at pixels, as corrected, in arcsec."""
        places = _through(self._to_v23, (x, y))
        if self.is_moved:
            places = self._off_plane(self._to_plane(places), moved=False)
        return places

    def _to_plane(self, places: Any, *, moved: bool = True) -> Any:
        """Return the plane at (V2, V3), in arcsec.

        Quirk: the plane of an image that was moved is moved as well, and where (V2, V3) are as
        corrected that counts twice.
        """
        vectors = unit_vectors(*(np.asarray(angle, float) / 3600 for angle in places))
        along, x, y = np.moveaxis(vectors @ self._rotation.T, -1, 0)
        plane = np.stack([x / along, y / along])
        if moved:
            plane = (np.tensordot(self._matrix, plane, 1).T + self._shift).T
        return plane[0] * _ARCSEC, plane[1] * _ARCSEC

    def _off_plane(self, places: Any, *, moved: bool = True) -> Any:
        """Return (V2, V3) at places on the plane, in arcsec; see `_to_plane`."""
        plane = np.stack([np.asarray(one, float) / _ARCSEC for one in places])
        if moved:
            plane = np.tensordot(np.linalg.inv(self._matrix), (plane.T - self._shift).T, 1)
        vectors = np.stack([np.ones_like(plane[0]), plane[0], plane[1]])
        a, b, c = np.tensordot(self._rotation.T, vectors, 1)
        return np.arctan2(b, a) * _ARCSEC, np.arctan2(c, np.hypot(a, b)) * _ARCSEC

    def _from_plane_of(self, other: Any) -> tuple[Any, Any]:
        """Return the linear map from another plane to this one at its middle: matrix and shift.

        Differences are symmetric, so that curvature cancels; in arcsec.
        """
        places = self.world_to_tanp(*other.tanp_to_world(*_CROSS))
        middle, right, left, top, bottom = np.column_stack(places)
        return np.column_stack([right - left, top - bottom]) / 2, middle

    def _corrected(self) -> Any:
        """Put a correction into the geometry."""
        import gwcs
        from astropy.modeling.models import Identity

        wcs = self._owcs
        if not self.is_moved:
            return wcs
        steps = [(step.frame, step.transform) for step in wcs.pipeline]
        place = wcs.available_frames.index(self._v23name)
        frame, transform = steps[place]
        # tweakwcs makes the correction, in a geometry that has nothing else.
        plane, corrected = deepcopy(frame), deepcopy(frame)
        plane.name, corrected.name = "v2v3", "v2v3corr"
        bare = [(steps[0][0], Identity(2)), (plane, Identity(2)), steps[-1]]
        maker = JWSTWCSCorrector(gwcs.WCS(bare), self._wcsinfo)
        maker.set_correction(self._matrix, self._shift * _ARCSEC)
        correction = maker.wcs.pipeline[1].transform
        steps[place : place + 1] = [(frame, correction), (corrected, transform)]
        return gwcs.WCS(steps, name=wcs.name)


def _with_own_box(wcs: Any) -> Any:
    """Return a geometry of the same transforms, whose bounding box is its own."""
    import gwcs

    steps = [(step.frame, step.transform) for step in wcs.pipeline]
    steps[0] = (steps[0][0], copy(steps[0][1]))
    return gwcs.WCS(steps, name=wcs.name)


def _through(transforms: list[Any], places: Any) -> Any:
    """Return places after some transforms."""
    for transform in transforms:
        places = transform(*places)
    return places


def _rotation(wcsinfo: dict[str, float]) -> NDArray[np.float64]:
    """Return the matrix that turns the middle of the plane to the first axis."""
    angles = wcsinfo["v2_ref"] / 3600, -wcsinfo["v3_ref"] / 3600, wcsinfo["roll_ref"]
    matrix = np.eye(3)
    for angle, axis in zip(np.radians(angles), (2, 1, 0), strict=True):
        turn = np.eye(3)
        first, second = [other for other in range(3) if other != axis]
        sine = np.sin(angle) * (-1 if axis == 1 else 1)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = sine, -sine
        matrix = turn @ matrix
    return matrix
