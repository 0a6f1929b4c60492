"""Level-1b files from raw files of the laboratory: ``jwgpu create_data``.

A proposal file (``12345.prop``) names the raw files and how they belong together; a template says
where each keyword and each array of the product comes from. The formats are those of the chapter
"FITS Generator" of the calibration documents (release 1.13), the products are exposures that
`Detector1Pipeline` takes.
"""

from __future__ import annotations

from jwgpu.fits_generator.creation import create_data, create_level1b
from jwgpu.fits_generator.generation import generate
from jwgpu.fits_generator.proposal import Exposure, read_proposal
from jwgpu.fits_generator.template import Template, parse_template, read_template

__all__ = [
    "Exposure",
    "Template",
    "create_data",
    "create_level1b",
    "generate",
    "parse_template",
    "read_proposal",
    "read_template",
]
