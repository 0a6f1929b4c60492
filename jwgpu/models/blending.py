"""Metadata of several images that become one: common values of the keywords, and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

#: What is not combined: it belongs to each image alone.
_OWN = (
    "meta.wcs",
    "meta.photometry.pixelarea_steradians",
    "meta.photometry.pixelarea_arcsecsq",
    "meta.filename",
)

#: Parts of a schema that stand for several others.
_CHOICES = ("anyOf", "oneOf")

_OUTSIDE = "outside calibration tolerance"


def _common(values: Sequence[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else "MULTIPLE"


def _tolerance(values: Sequence[Any]) -> str:
    return _OUTSIDE if _OUTSIDE in values else "within commanded tolerance"


#: How the schema says that a keyword is combined. Dates are texts that sort as they follow.
_RULES: dict[str, Callable[[Sequence[Any]], Any]] = {
    "multi": _common,
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "mintime": min,
    "maxtime": max,
    "mindate": min,
    "maxdate": max,
    "mindatetime": min,
    "maxdatetime": max,
    "wheeltol": _tolerance,
}


class _Plan(NamedTuple):
    """What a schema says: rule and column of attributes, and attributes that are lists."""

    rules: dict[str, str]
    columns: dict[str, str]
    lists: list[str]


class Blender:
    """Metadata that are combined, one image after the other."""

    def __init__(self) -> None:
        self._plan = _Plan({}, {}, [])
        self._rows: list[dict[str, Any]] = []

    def add(self, model: Any) -> None:
        """Take the metadata of an official data model as they are now."""
        if not self._rows:
            self._plan = _plan_of(model.schema)
        self._rows.append(model.to_flat_dict(include_arrays=False))

    def finish(self, model: Any) -> None:
        """Put common values and the table of all (HDRTAB) into an official data model, in place."""
        own = (*_OWN, *self._plan.lists)
        values = {
            attribute: value
            for attribute, value in self._rows[0].items()
            if attribute.startswith("meta")
        }
        for attribute, rule in self._plan.rules.items():
            if rule != "first":
                found = [row[attribute] for row in self._rows if attribute in row]
                values[attribute] = _RULES[rule](found) if found else None
        for attribute, value in values.items():
            if attribute.startswith(own):
                continue
            try:
                model[attribute] = value
            except KeyError:
                continue  # the schema does not know it
        _add_table(model, self._table())

    def _table(self) -> Any:
        """Return the keywords of all images, a column each, NaN where one has none."""
        columns = {
            name: [row.get(attribute, np.nan) for row in self._rows]
            for attribute, name in self._plan.columns.items()
            if any(attribute in row for row in self._rows)
        }
        arrays = [np.array(values) for values in columns.values()]
        types = [(name, array.dtype) for name, array in zip(columns, arrays, strict=True)]
        return np.rec.fromarrays(arrays, dtype=types)


def _plan_of(schema: Any) -> _Plan:
    from stdatamodels.schema import walk_schema

    plan = _Plan({}, {}, [])

    def look(part: Any, path: Any, _combiner: Any, plan: Any, _recurse: Any) -> None:
        if len(path) < 2 or path[0] != "meta" or "items" in path or part.get("properties"):
            return
        names = list(path)
        choice = next((word for word in _CHOICES if word in names), None)
        attribute = ".".join(names if choice is None else names[: names.index(choice)])
        if part.get("type") == "array":
            plan.lists.append(attribute)
            return
        if "blend_rule" in part:
            plan.rules[attribute] = part["blend_rule"]
        if part.get("blend_table"):
            plan.columns[attribute] = part.get("fits_keyword", attribute)

    walk_schema(schema, look, plan)
    return plan


def _add_table(model: Any, table: Any) -> None:
    from astropy.io import fits
    from stdatamodels import fits_support

    def kind(dtype: Any) -> Any:
        if dtype.kind == "U":
            return ["ascii", dtype.itemsize // 4]
        return "int8" if dtype.kind == "b" else str(dtype)  # truth values are not kept by tables

    schema = {
        "title": "Combined header table",
        "fits_hdu": "HDRTAB",
        "datatype": [
            {"name": name, "datatype": kind(table.dtype[name])} for name in table.dtype.names
        ],
    }
    model.add_schema_entry("hdrtab", schema)
    model.hdrtab = fits_support.from_fits_hdu(fits.BinTableHDU.from_columns(table), schema)
