"""The picture that ``jwgpu demo --imaging`` draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jwgpu.cli.picture import GRID, INK, PAPER, image_with_bar

if TYPE_CHECKING:
    from jwgpu.cli.demo_imaging import Found

_FOUND, _MISSED = "#2f6f9f", "#d1801f"


def draw(found: Found, title: str, file: Path) -> None:
    """Draw a raw exposure, the mosaic with its sources, and their places and fluxes.

    Parameters
    ----------
    found
        What came out, beside the truth.
    title
        What the exposures are.
    file
        PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10.5), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    raw_axes, mosaic_axes, place_axes, flux_axes = figure.subplots(2, 2).ravel()
    figure.suptitle(f"{title}, simulated, then combined by jwgpu", color=INK, fontsize=13)
    image_with_bar(raw_axes, found.raw, "raw: last group of one exposure", "DN")
    image_with_bar(mosaic_axes, found.mosaic, "mosaic and its catalogue", "MJy/sr")
    _sources(mosaic_axes, found)
    _places(place_axes, found)
    _fluxes(flux_axes, found)
    figure.savefig(file, dpi=130, facecolor=PAPER)


def _sources(axes: Any, found: Found) -> None:
    """Circle the sources: those that are stars, and the others; and the stars that are missing."""
    import numpy as np

    seen = found.is_found
    marks = (
        ("o", _FOUND, found.x[seen] + found.dx[seen], found.y[seen] + found.dy[seen], "star"),
        ("s", _MISSED, found.others[:, 0], found.others[:, 1], "no star"),
        ("x", _MISSED, found.x[~seen], found.y[~seen], "not found"),
    )
    for mark, colour, x, y, name in marks:
        if not np.size(x):
            continue
        face = colour if mark == "x" else "none"
        edge = None if mark == "x" else colour
        axes.scatter(x, y, s=36, marker=mark, facecolors=face, edgecolors=edge, lw=0.9, label=name)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=3,
        frameon=False,
        labelcolor=INK,
        fontsize=9,
    )


def _places(axes: Any, found: Found) -> None:
    """Draw how far from the stars their sources are."""
    import numpy as np

    seen = found.is_found
    axes.axhline(0, color=GRID, lw=0.6)
    axes.axvline(0, color=GRID, lw=0.6)
    angle = np.linspace(0, 2 * np.pi, 100)
    axes.plot(0.05 * np.cos(angle), 0.05 * np.sin(angle), color=_MISSED, lw=1, label="0.05 pixel")
    axes.scatter(found.dx[seen], found.dy[seen], s=10, color=_FOUND, alpha=0.7, lw=0)
    reach = max(0.07, 1.1 * float(np.max(found.distance, initial=0.0)))
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xlabel("x: source - star, in pixels", color=INK)
    axes.set_ylabel("y", color=INK)
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    middle = float(np.median(found.distance)) if found.distance.size else float("nan")
    _finish(axes, f"positions: median {middle:.3f} pixels")


def _fluxes(axes: Any, found: Found) -> None:
    """Draw the fluxes of the sources over those of the stars."""
    import numpy as np

    seen = found.is_found
    axes.axhline(1, color=GRID, lw=0.6)
    axes.axhspan(0.99, 1.01, color=_MISSED, alpha=0.15, lw=0, label="1 %")
    axes.scatter(found.janskys[seen] * 1e6, found.flux[seen], s=10, color=_FOUND, alpha=0.7, lw=0)
    axes.set_xscale("log")
    spread = float(np.max(np.abs(found.flux[seen] - 1), initial=0.02))
    axes.set_ylim(1 - 1.1 * spread, 1 + 1.1 * spread)
    axes.set_xlabel("flux of the star, in µJy", color=INK)
    axes.set_ylabel("found / true", color=INK)
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    middle = float(np.median(found.flux[seen])) if seen.any() else float("nan")
    _finish(axes, f"fluxes: median of found / true {middle:.4f}")


def _finish(axes: Any, title: str) -> None:
    axes.set_facecolor(PAPER)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_title(title, color=INK, fontsize=11, loc="left")
