"""The names of the pipelines and steps, without importing any of them.

The command line answers ``--help`` from this table, and stpipe finds our classes through
`get_steps`. A new step or pipeline gets one line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One pipeline or step.

    Attributes
    ----------
    alias
        The official alias, which is also the command's name.
    target
        ``module:Class``.
    summary
        One line for the command's help.
    is_pipeline
        Whether it is a pipeline.
    official_alias
        The alias that the official package gives it, where that differs from ``alias``.
    starts_from
        Suffixes of what it is given, the usual one first: what a folder means. Of files that are
        not FITS with their extension: ``asn.json``.
    """

    alias: str
    target: str
    summary: str
    is_pipeline: bool = False
    official_alias: str | None = None
    starts_from: tuple[str, ...] = ("uncal", "ramp")

    @property
    def class_path(self) -> str:
        """The class with dots only, as stpipe writes it."""
        return self.target.replace(":", ".")

    @property
    def class_name(self) -> str:
        """The class without its module."""
        return self.target.rpartition(":")[2]


PIPELINES: tuple[Entry, ...] = (
    Entry(
        "detector1",
        "jwgpu.pipelines.detector1:Detector1Pipeline",
        "uncalibrated exposure to count rates: _uncal -> _rate, _rateints",
        is_pipeline=True,
        official_alias="calwebb_detector1",
        starts_from=("uncal",),
    ),
    Entry(
        "dark",
        "jwgpu.pipelines.dark:DarkPipeline",
        "uncalibrated dark to linear ramps: _uncal -> _darkpipeline",
        is_pipeline=True,
        official_alias="calwebb_dark",
        starts_from=("uncal",),
    ),
    Entry(
        "image2",
        "jwgpu.pipelines.image2:Image2Pipeline",
        "count rates of images to surface brightness: _rate -> _cal, _i2d; _rateints -> _calints",
        is_pipeline=True,
        official_alias="calwebb_image2",
        starts_from=("rate",),
    ),
    Entry(
        "image3",
        "jwgpu.pipelines.image3:Image3Pipeline",
        "calibrated images to a mosaic and its catalogue: _asn -> _crf, _i2d, _cat, _segm",
        is_pipeline=True,
        official_alias="calwebb_image3",
        starts_from=("asn.json",),
    ),
    Entry(
        "guider",
        "jwgpu.pipelines.guider:GuiderPipeline",
        "exposure of the guider to count rates: _uncal -> _cal",
        is_pipeline=True,
        official_alias="calwebb_guider",
        starts_from=("uncal",),
    ),
)

# In the order in which the near-infrared pipeline runs them, those of MIRI alone last.
STEPS: tuple[Entry, ...] = (
    Entry(
        "group_scale",
        "jwgpu.steps.group_scale:GroupScaleStep",
        "undo a frame average that the spacecraft divided by another number",
    ),
    Entry("dq_init", "jwgpu.steps.dq_init:DQInitStep", "start the flags from the bad-pixel mask"),
    Entry(
        "saturation",
        "jwgpu.steps.saturation:SaturationStep",
        "flag saturated samples and those at the converter's floor",
    ),
    Entry("ipc", "jwgpu.steps.ipc:IPCStep", "undo the charge coupling between neighbour pixels"),
    Entry("superbias", "jwgpu.steps.superbias:SuperBiasStep", "subtract the bias of each pixel"),
    Entry(
        "refpix",
        "jwgpu.steps.refpix:RefPixStep",
        "follow the electronics' drift with the reference pixels",
    ),
    Entry(
        "linearity",
        "jwgpu.steps.linearity:LinearityStep",
        "straighten the response of each pixel",
    ),
    Entry(
        "dark_current",
        "jwgpu.steps.dark_current:DarkCurrentStep",
        "subtract the dark, averaged as the exposure is",
    ),
    Entry("jump", "jwgpu.steps.jump:JumpStep", "flag cosmic rays in the ramps"),
    Entry(
        "picture_frame",
        "jwgpu.steps.picture_frame:PictureFrameStep",
        "NIRSpec: subtract the thermal picture frame",
    ),
    Entry(
        "clean_flicker_noise",
        "jwgpu.steps.clean_flicker_noise:CleanFlickerNoiseStep",
        "remove 1/f noise",
    ),
    Entry(
        "nsclean",
        "jwgpu.steps.nsclean:NSCleanStep",
        "clean_flicker_noise under its old name, for count rates of NIRSpec",
    ),
    Entry(
        "persistence",
        "jwgpu.steps.persistence:PersistenceStep",
        "flag, or subtract, what earlier light left behind",
    ),
    Entry("ramp_fit", "jwgpu.steps.ramp_fit:RampFitStep", "fit count rates to the ramps"),
    Entry(
        "gain_scale",
        "jwgpu.steps.gain_scale:GainScaleStep",
        "rescale rates that were taken with another gain setting",
    ),
    Entry(
        "reset",
        "jwgpu.steps.reset:ResetStep",
        "MIRI: subtract what the reset leaves in the first groups",
    ),
    Entry(
        "rscd", "jwgpu.steps.rscd:RscdStep", "MIRI: flag the groups that the reset switch disturbs"
    ),
    Entry("firstframe", "jwgpu.steps.firstframe:FirstFrameStep", "MIRI: flag the first group"),
    Entry("lastframe", "jwgpu.steps.lastframe:LastFrameStep", "MIRI: flag the last group"),
    Entry(
        "emicorr", "jwgpu.steps.emicorr:EmiCorrStep", "MIRI: remove electromagnetic interference"
    ),
    Entry(
        "guider_cds",
        "jwgpu.steps.guider_cds:GuiderCdsStep",
        "the guider: count rates from the difference of reads",
    ),
    Entry(
        "flat_field",
        "jwgpu.steps.flat_field:FlatFieldStep",
        "divide by the flat field: images, and the guider's exposures",
    ),
    Entry(
        "charge_migration",
        "jwgpu.steps.charge_migration:ChargeMigrationStep",
        "flag groups whose charge spills over",
    ),
    Entry(
        "assign_wcs",
        "jwgpu.steps.assign_wcs:AssignWcsStep",
        "images: the geometry on the sky",
        starts_from=("rate",),
    ),
    Entry(
        "background",
        "jwgpu.steps.background:BackgroundStep",
        "images: subtract the mean of background exposures",
        official_alias="bkg_subtract",
        starts_from=("rate",),
    ),
    Entry(
        "photom",
        "jwgpu.steps.photom:PhotomStep",
        "images: from count rates to surface brightness",
        starts_from=("rate",),
    ),
    Entry(
        "assign_mtwcs",
        "jwgpu.steps.assign_mtwcs:AssignMTWcsStep",
        "moving targets: geometry in which the target stands still: _asn.json",
        starts_from=("asn.json",),
    ),
    Entry(
        "tweakreg",
        "jwgpu.steps.tweakreg:TweakRegStep",
        "images: align them by their stars, to each other and to a catalog: _asn.json",
        starts_from=("asn.json",),
    ),
    Entry(
        "skymatch",
        "jwgpu.steps.skymatch:SkyMatchStep",
        "images: the level of the sky, or what matches it where they overlap: _asn.json",
        starts_from=("asn.json",),
    ),
    Entry(
        "outlier_detection",
        "jwgpu.steps.outlier_detection:OutlierDetectionStep",
        "images, stage 3: flag what the other images do not see",
        starts_from=("asn.json", "calints"),
    ),
    Entry(
        "resample",
        "jwgpu.steps.resample:ResampleStep",
        "images: onto an undistorted grid of pixels",
        starts_from=("cal",),
    ),
    Entry(
        "wfs_combine",
        "jwgpu.steps.wfs_combine:WfsCombineStep",
        "wavefront sensing, stage 3: combine pairs of dithered images: _asn.json -> _wfscmb",
        official_alias="calwebb_wfs-image3",
        starts_from=("asn.json",),
    ),
    Entry(
        "source_catalog",
        "jwgpu.steps.source_catalog:SourceCatalogStep",
        "a mosaic: list its sources, _i2d -> _cat.ecsv, _segm",
        starts_from=("i2d",),
    ),
    Entry(
        "targ_centroid",
        "jwgpu.steps.targ_centroid:TargCentroidStep",
        "MIRI slit spectra: find the source on the image that verified its acquisition",
        starts_from=("cal", "rate"),
    ),
    Entry(
        "badpix_selfcal",
        "jwgpu.steps.badpix_selfcal:BadpixSelfcalStep",
        "flag pixels that stand out in all exposures of a target",
    ),
)

ENTRIES: tuple[Entry, ...] = PIPELINES + STEPS


def find(name: str) -> Entry | None:
    """Find a pipeline or step by any of its names.

    Parameters
    ----------
    name
        Alias (``-`` and ``_`` alike), the official package's alias, class name, or a dotted
        class path of either package, of which the class name counts.

    Returns
    -------
    Entry or None
        None if nothing has that name.
    """
    alias = name.replace("-", "_")
    class_name = name.replace(":", ".").rpartition(".")[2]
    for entry in ENTRIES:
        official = (entry.official_alias or entry.alias).replace("-", "_")
        names = (entry.alias, official, official.removeprefix("calwebb_"))
        if alias in names or class_name == entry.class_name:
            return entry
    return None


def load(entry: Entry) -> Any:
    """Import the class of an entry; this imports stpipe and what it needs."""
    module, _, name = entry.target.partition(":")
    return getattr(import_module(module), name)


def get_steps() -> list[tuple[str, str | None, bool]]:
    """List the classes for stpipe's entry point ``stpipe.steps``.

    stpipe refuses an alias that two installed packages claim. The official aliases stay the
    official package's: ours carry the prefix ``jwgpu_``, so that ``strun calwebb_detector1``
    means what it always meant and ``strun jwgpu_detector1`` is ours.

    Returns
    -------
    list of (class path, alias, is pipeline)
    """
    return [(entry.class_path, f"jwgpu_{entry.alias}", entry.is_pipeline) for entry in ENTRIES]
