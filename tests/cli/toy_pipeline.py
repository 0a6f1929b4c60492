"""A small pipeline on stpipe alone: what the command line runs in tests of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from stpipe import Pipeline, Step

from jwgpu.errors import InputError, NoScienceDataError


class Product:
    """Something that stpipe can save."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, path: str, overwrite: bool = False) -> None:
        Path(path).write_text(self.text)


class ToyStep(Step):
    """One step."""

    class_alias = "toy"
    reference_file_types: ClassVar[list[str]] = ["gain"]
    spec = """
    threshold = float(default=4.0, min=0)  # least value
    number = integer(default=1, min=1, max=9)  # how many
    mode = option('fast', 'exact', default='fast')  # which way
    output_ext = string(default='.txt')  # ending
    """

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        return ("jwgpu", "stpipe", "CRDS")

    def process(self, product: Any) -> Any:
        return product


class ToyPipeline(Pipeline):
    """Two steps and the settings of a run."""

    class_alias = "toy_pipeline"
    step_defs: ClassVar = {"toy": ToyStep, "other": ToyStep}
    prefetch_references = False
    spec = """
    save_calibrated_ramp = boolean(default=False)  # also save the ramp
    device = string(default='auto')  # where to compute
    references = string(default=None)  # folder of references
    threads = integer(default=0, min=0)  # threads
    offline = boolean(default=False)  # no network
    output_ext = string(default='.txt')  # ending
    """
    seen: ClassVar[list[dict[str, Any]]] = []

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        return ("jwgpu", "stpipe", "CRDS")

    @classmethod
    def get_config_from_reference(cls, dataset: Any, **kwargs: Any) -> Any:
        cls.seen.append({"asked_crds": dataset})
        return cls._empty_config()

    def process(self, file: str) -> Product:
        from jwgpu.runner.progress import current

        text = Path(file).read_text()
        observer = current()
        observer.start_exposure(file, ["toy", "other"])
        observer.start_step("toy")
        observer.finish_step("toy", 0.1)
        observer.finish_exposure(file)
        if text == "bad":
            raise InputError(f"{file}: not FITS: give an exposure")
        if text == "empty":
            raise NoScienceDataError(f"{file}: no science data: give another exposure")
        if text == "bug":
            raise ValueError("something that nobody foresaw")
        if text == "exit":
            raise SystemExit(-1)
        if text == "interrupt":
            raise KeyboardInterrupt
        self.seen.append(self.get_pars())
        return Product(text)
