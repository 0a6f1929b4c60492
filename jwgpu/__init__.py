"""Calibration of James Webb Space Telescope exposures on processors and graphics cards.

Importing this package imports nothing else; take what you need from its rooms::

    from jwgpu.pipelines import Detector1Pipeline

    rate = Detector1Pipeline.call("jw..._uncal.fits", references="./refs")
"""

__version__ = "0.1.0.dev0"
