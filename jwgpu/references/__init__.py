"""Where a reference comes from: an override, a folder or CRDS; and what it is once decoded.

Steps name the types of `jwgpu.references.types`; the runner finds and loads them with `References`.
"""

from __future__ import annotations

from jwgpu.references.cache import BETWEEN_EXPOSURES, WITHIN_EXPOSURE, ReferenceCache
from jwgpu.references.collection import References

__all__ = ["BETWEEN_EXPOSURES", "WITHIN_EXPOSURE", "ReferenceCache", "References"]
