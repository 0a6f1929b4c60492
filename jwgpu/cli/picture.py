"""The picture that ``jwgpu demo`` draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jwgpu.cli.demo import Calibrated, Verdict
    from jwgpu.simulate import Dataset

#: Background, text and the colours of the flags: saturated, struck by a cosmic ray, not usable.
PAPER, INK, GRID = "#fcfcfb", "#22252a", "#8a9099"
FLAG_COLOURS = ("#eef0f2", "#2f6f9f", "#d1801f", "#3b3f45")
FLAG_NAMES = ("good", "cosmic ray", "saturated", "not usable")


def draw(dataset: Dataset, made: Calibrated, verdict: Verdict, file: Path) -> None:
    """Draw the last raw group, the count rate, the flags, and the rate against the truth.

    Parameters
    ----------
    dataset
        The simulated exposure.
    made
        What came out.
    verdict
        How it compares.
    file
        PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = made.rate.shape
    is_wide = width > 2.5 * height
    figure = Figure(figsize=(12, 10.5 if not is_wide else 9), facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    rows, columns = (4, 1) if is_wide else (2, 2)
    raw_axes, rate_axes, flag_axes, truth_axes = figure.subplots(rows, columns).ravel()
    settings = dataset.settings
    figure.suptitle(
        f"{settings.camera.instrument} {settings.camera.name} {settings.subarray}: "
        f"{settings.nints} x {settings.ngroups} groups, simulated, then calibrated by jwgpu",
        color=INK,
        fontsize=13,
    )
    image_with_bar(raw_axes, _last_group(dataset.exposure), "raw: last group", "DN")
    image_with_bar(rate_axes, made.rate, "calibrated: count rate", "DN/s")
    _flags(flag_axes, made)
    _against_truth(truth_axes, dataset, made, verdict)
    figure.savefig(file, dpi=130, facecolor=PAPER)


def _last_group(exposure: Path) -> Any:
    """Read the last group of the first integration of a raw exposure."""
    from astropy.io import fits

    with fits.open(exposure) as file:
        return file["SCI"].data[0, -1].astype("float32")


def image_with_bar(axes: Any, image: Any, title: str, unit: str) -> None:
    """Draw an image, stretched so that faint and bright show."""
    import numpy as np
    from matplotlib.colors import AsinhNorm

    finite = image[np.isfinite(image)]
    low, middle, high = np.percentile(finite, (1, 50, 99.7)) if finite.size else (0.0, 0.5, 1.0)
    spread = max(float(middle - low), 1e-6 * max(abs(float(high)), 1.0))
    # The stretch is linear within a few times the spread of the background, relative to it.
    top = max(float(high - middle), spread)
    norm = AsinhNorm(linear_width=3 * spread, vmin=low - middle, vmax=top)
    drawn = axes.imshow(
        image - middle, origin="lower", cmap="cividis", norm=norm, interpolation="nearest"
    )
    _frame(axes, title)
    marks = [0.0, top / 10, top]
    bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.85, pad=0.02, ticks=marks)
    bar.ax.set_yticklabels(
        [f"{middle + mark:.0f}" if top > 10 else f"{middle + mark:.3g}" for mark in marks]
    )
    bar.minorticks_off()
    bar.set_label(unit, color=INK)
    bar.ax.tick_params(colors=INK, labelsize=8)


def _flags(axes: Any, made: Calibrated) -> None:
    """Draw which pixels were struck, saturated or cannot be used."""
    import numpy as np
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from jwgpu.models.flags import DO_NOT_USE, JUMP_DET, SATURATED

    kinds = np.zeros(made.dq.shape, dtype=np.uint8)
    samples = np.bitwise_or.reduce(made.groupdq, axis=(0, 1))
    kinds[(samples & JUMP_DET) != 0] = 1
    kinds[(samples & SATURATED) != 0] = 2
    kinds[(made.dq & DO_NOT_USE) != 0] = 3
    axes.imshow(
        kinds,
        origin="lower",
        cmap=ListedColormap(FLAG_COLOURS),
        vmin=-0.5,
        vmax=3.5,
        interpolation="nearest",
    )
    shares = 100 * np.bincount(kinds.ravel(), minlength=4) / kinds.size
    _frame(axes, "flags")
    axes.legend(
        handles=[
            Patch(facecolor=colour, edgecolor=GRID, label=f"{name}  {share:.1f} %")
            for colour, name, share in zip(FLAG_COLOURS, FLAG_NAMES, shares, strict=True)
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=2,
        columnspacing=1.2,
        handlelength=1.2,
        frameon=False,
        labelcolor=INK,
        fontsize=9,
    )


def _against_truth(axes: Any, dataset: Dataset, made: Calibrated, verdict: Verdict) -> None:
    """Draw the differences to the truth in standard errors, and what they should be."""
    import numpy as np

    from jwgpu.models.flags import DO_NOT_USE

    good = ((made.dq & DO_NOT_USE) == 0) & np.isfinite(made.rate) & (made.error > 0)
    pull = (made.rate[good] - dataset.truth.rate[good]) / made.error[good]
    edges = np.linspace(-6, 6, 97)
    axes.hist(pull, bins=edges, density=True, color=FLAG_COLOURS[1], alpha=0.85, label="pixels")
    middle = (edges[1:] + edges[:-1]) / 2
    normal = np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(middle, normal, color=FLAG_COLOURS[2], lw=2, label="if every error is right")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("(rate - truth) / error", color=INK)
    axes.set_ylabel("density of pixels", color=INK)
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    axes.set_facecolor(PAPER)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_title(
        f"against the truth: median {verdict.bias:+.2f}, spread {verdict.scatter:.2f}",
        color=INK,
        fontsize=11,
        loc="left",
    )


def _frame(axes: Any, title: str) -> None:
    """Title an image and quiet its axes."""
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.tick_params(colors=INK, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(GRID)
