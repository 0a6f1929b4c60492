"""``jwgpu demo --imaging``: from raw exposures to a mosaic and its catalogue, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jwgpu.cli import messages
from jwgpu.errors import JwgpuError
from jwgpu.steps import registry

if TYPE_CHECKING:
    from jwgpu.simulate.fields import StarField

#: What the mosaic, its catalogue and the association are called.
NAME = "mosaic"

#: Pixels within which a source is that star.
_NEAR = 2.0

#: Of the stars, in DN/s.
_FLUXES = (500.0, 20000.0)

#: What headers do not know of the pointings, in arcsec.
_POINTING_ERROR = 0.005

#: Width of the stars, in pixels: sampled well, so that a small aperture holds the same share of
#: each, wherever it lies within its pixel.
PSF_SIGMA = 1.6

#: How the images are aligned: as wide as the stars are, and with a tolerance below their distances.
ALIGNMENT = {
    "steps.tweakreg.kernel_fwhm": "3.8",
    "steps.tweakreg.searchrad": "0.5",
    "steps.tweakreg.separation": "0.2",
    "steps.tweakreg.tolerance": "0.1",
}


@dataclass(frozen=True)
class Found:
    """A mosaic, the sources in its catalogue, and the stars that they are.

    Attributes
    ----------
    mosaic : ndarray, (y, x) float32
        MJy/sr.
    raw : ndarray, (y, x) float32
        Last group of the first exposure, in DN.
    x, y : ndarray, (stars,) float64
        Where the stars are in the mosaic, in pixels.
    dx, dy : ndarray, (stars,) float64
        How far from there their sources are; NaN where none was found.
    flux : ndarray, (stars,) float64
        Flux of the source over that of the star; NaN where none was found.
    janskys : ndarray, (stars,) float64
        Fluxes of the stars, in Jy.
    others : ndarray, (sources, 2) float64
        Sources that are no star: x and y.
    """

    mosaic: Any
    raw: Any
    x: Any
    y: Any
    dx: Any
    dy: Any
    flux: Any
    janskys: Any
    others: Any

    @property
    def is_found(self) -> Any:
        """Which stars were found: (stars,) bool."""
        import numpy as np

        return np.isfinite(self.dx)

    @property
    def distance(self) -> Any:
        """Distances of the stars that were found from their sources, in pixels."""
        import numpy as np

        return np.hypot(self.dx, self.dy)[self.is_found]


def run(
    alias: str,
    inputs: list[str],
    field: StarField,
    folder: Path,
    threads: int,
    options: Mapping[str, str] | None = None,
) -> None:
    """Run a command on the demo's files.

    Raises
    ------
    JwgpuError
        If it fails.
    """
    from jwgpu.cli.calibrate import Request, calibrate

    (entry,) = (entry for entry in registry.ENTRIES if entry.alias == alias)
    values = {
        "references": str(field.references),
        "offline": "true",
        "output_dir": str(folder),
        "threads": str(threads),
        **(options or {}),
    }
    request = Request(entry, inputs, values, ask_crds_parameters=False)
    if calibrate(registry.load(entry), request) != messages.OK:
        fail(alias)


def fail(alias: str) -> None:
    """End the demo, after a command of it did.

    Raises
    ------
    JwgpuError
        Always.
    """
    raise JwgpuError(f"jwgpu {alias} failed: see above")


def associate(folder: Path) -> Path:
    """Make the association of all calibrated images of a folder."""
    from jwgpu.associations.creation import association_from_list, write_association
    from jwgpu.steps.suffixes import remove_suffix

    names = sorted(path.name for path in folder.glob("*_cal.fits"))
    content = association_from_list(names, "DMS_Level3_Base", NAME, "o999", remove_suffix)
    path = folder / f"{NAME}_asn.json"
    write_association(content, str(path), "json")
    return path


def read(field: StarField, folder: Path) -> Found:
    """Read back what was made, and find the stars among the sources."""
    import numpy as np
    from astropy.io import fits
    from astropy.table import Table
    from stdatamodels.jwst import datamodels

    with datamodels.open(str(folder / f"{NAME}_i2d.fits")) as model:
        x, y = model.meta.wcs.invert(field.stars.ra, field.stars.dec)
        mosaic = model.data.copy()
    raw = fits.getdata(field.exposures[0], "SCI")[0, -1].astype(np.float32)
    catalogue = Table.read(folder / f"{NAME}_cat.ecsv")
    places = np.transpose([catalogue["xcentroid"], catalogue["ycentroid"]])
    star, source = pairs(np.transpose([x, y]), places)
    dx, dy, flux = (np.full(len(x), np.nan) for _ in range(3))
    dx[star], dy[star] = places[source, 0] - x[star], places[source, 1] - y[star]
    flux[star] = np.asarray(catalogue["aper_total_flux"])[source] / field.janskys[star]
    others = np.delete(places, source, axis=0)
    return Found(mosaic, raw, x, y, dx, dy, flux, field.janskys, others)


def pairs(stars: Any, sources: Any) -> tuple[Any, Any]:
    """Pair each star with the source nearest to it: indices of both."""
    import numpy as np
    from scipy.spatial import cKDTree

    if not len(sources):
        return np.zeros(0, int), np.zeros(0, int)
    distance, nearest = cKDTree(sources).query(stars, distance_upper_bound=_NEAR)
    star = np.flatnonzero(np.isfinite(distance))
    return star, nearest[star]


def demo(folder: Path, threads: int, settings: dict[str, Any]) -> int:
    """Run the demo.

    Parameters
    ----------
    folder : Path
        Where everything goes.
    threads : int
    settings : dict
        Given settings of the exposures.

    Returns
    -------
    int
        Exit status.
    """
    from jwgpu.cli import picture_imaging
    from jwgpu.cli.demo import told
    from jwgpu.simulate.fields import make_field

    usual = {} if settings.get("instrument") else {"subarray": "SUB320"}
    chosen = {"ngroups": 8, "seed": 4, "psf_sigma": PSF_SIGMA, **usual, **settings}
    with told("simulating four exposures of a field of stars, and their reference files"):
        field = make_field(
            folder / "input",
            4,
            threads=max(threads, 1),
            error=_POINTING_ERROR,
            flux=_FLUXES,
            **chosen,
        )
    rates, cals = folder / "rate", folder / "cal"
    with told("calibrating them: jwgpu detector1"):
        run("detector1", list(map(str, field.exposures)), field, rates, threads)
    with told("and: jwgpu image2"):
        run("image2", [str(rates)], field, cals, threads)
    association = associate(cals)
    with told("combining them: jwgpu image3"):
        run("image3", [str(association)], field, folder, threads, ALIGNMENT)
    found = read(field, folder)
    drawn = folder / "demo-imaging.png"
    try:
        picture_imaging.draw(found, title(field), drawn)
    except OSError as error:
        raise JwgpuError(messages.about(str(drawn), error)) from error
    click.echo(report(field, found, folder, drawn))
    return messages.OK


def title(field: StarField) -> str:
    """Name the exposures."""
    settings = field.settings
    place = f"{settings.camera.instrument} {settings.camera.name} {settings.subarray}"
    return f"{place}, {len(field.exposures)} exposures of {settings.ngroups} groups"


def report(field: StarField, found: Found, folder: Path, drawn: Path) -> str:
    """Summarise the demo."""
    import numpy as np

    ratio = found.flux[found.is_found]
    low, middle, high = np.percentile(ratio, (15.87, 50, 84.13)) if ratio.size else (np.nan,) * 3
    off = found.distance
    typical, worst = np.percentile(off, (50, 95)) if off.size else (np.nan, np.nan)
    products = sorted(path.name for path in folder.iterdir() if path.name.startswith(NAME))
    rows = {
        "exposures": title(field),
        "stars": f"{np.count_nonzero(found.is_found)} of {len(found.x)} found, "
        f"{len(found.others)} sources are no star",
        "positions": f"off by {typical:.3f} pixels (median), {worst:.3f} (95 %)",
        "fluxes": f"found / true: median {middle:.4f}, spread {(high - low) / 2:.4f}",
        "products": f"{folder}: {', '.join(products)}",
        "picture": str(drawn),
    }
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows.items())
