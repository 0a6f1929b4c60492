"""Write long exposures integration by integration, without holding more than one in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from jwgpu.errors import ParameterError
from jwgpu.simulate.exposure import simulate_integrations
from jwgpu.simulate.keywords import file_root
from jwgpu.simulate.settings import Settings
from jwgpu.simulate.writing import write_model

_BLOCK = 2880  # bytes; all parts of a FITS file are multiples of it

#: Extensions that grow with every integration.
_GROWING = ("SCI", "ZEROFRAME", "REFOUT")


def write_long_exposure(settings: Settings, folder: str | Path, threads: int = 1) -> Path:
    """Simulate a raw exposure and write it, with the counts of `simulate_exposure`.

    Parameters
    ----------
    settings : Settings
        What to simulate.
    folder : str or Path
        Where to; made if it is not there. While it is written, the counts are there twice.
    threads : int
        Threads that simulate; the result does not depend on it.

    Returns
    -------
    Path
        The ``_uncal.fits``.

    Raises
    ------
    ParameterError
        For IRS2 and for superstripes, which take the whole exposure.
    """
    if settings.pattern.is_irs2 or (settings.stripes is not None and settings.stripes[-1]):
        raise ParameterError("IRS2 and superstripes cannot be simulated integration by integration")
    path = Path(folder) / (file_root(settings) + "_uncal.fits")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        frame = Path(scratch) / path.name
        counts: dict[str, IO[bytes]] = {}
        try:
            _write_counts(settings, threads, Path(scratch), counts, frame)
            _assemble(frame, counts, settings.nints, path)
        finally:
            for file in counts.values():
                file.close()
    return path


def _write_counts(
    settings: Settings, threads: int, scratch: Path, counts: dict[str, IO[bytes]], frame: Path
) -> None:
    """Write the counts of each kind into a file of its own, and a product with the first ones."""
    for integration, arrays in enumerate(simulate_integrations(settings, threads)):
        found = {
            name: array for name, array in zip(_GROWING, arrays, strict=True) if array is not None
        }
        if integration == 0:
            write_model(settings, frame, {name: array[None] for name, array in found.items()})
        for name, array in found.items():
            if name not in counts:
                counts[name] = (scratch / name).open("w+b")
            # FITS has no unsigned integers: they are stored 32768 less, the highest byte first.
            (array ^ np.uint16(0x8000)).astype(">u2").tofile(counts[name])


def _assemble(frame: Path, counts: dict[str, IO[bytes]], nints: int, path: Path) -> None:
    """Write a product with the counts of all integrations instead of those of the first."""
    from astropy.io import fits

    unfinished = path.with_name(f".{path.name}")
    with fits.open(frame) as product, frame.open("rb") as source, unfinished.open("wb") as target:
        for hdu in product:
            info = hdu.fileinfo()
            start, data, span = info["hdrLoc"], info["datLoc"], info["datSpan"]
            if hdu.name not in counts:
                source.seek(start)
                target.write(source.read(data - start + span))
                continue
            header = hdu.header.copy()
            header[f"NAXIS{header['NAXIS']}"] = nints
            target.write(header.tostring().encode("ascii"))
            _copy(counts[hdu.name], target)
    unfinished.replace(path)


def _copy(counts: IO[bytes], target: IO[bytes]) -> None:
    counts.seek(0)
    size = 0
    while chunk := counts.read(1 << 24):
        target.write(chunk)
        size += len(chunk)
    target.write(b"\0" * (-size % _BLOCK))


def long_dataset(folder: str | Path, *, threads: int = 1, **settings: Any) -> tuple[Path, Path]:
    """Write an exposure integration by integration, and its reference files.

    Parameters
    ----------
    folder : str or Path
        The exposure goes here, the reference files into ``references`` below.
    threads : int
    **settings
        Fields of `Settings`.

    Returns
    -------
    exposure, references : Path
        The file, and the folder.
    """
    from jwgpu.simulate.references import write_references

    chosen = Settings(**settings)
    references = Path(folder) / "references"
    write_references(chosen, references)
    return write_long_exposure(chosen, folder, threads), references
