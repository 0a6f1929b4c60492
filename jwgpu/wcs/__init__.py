"""Instrument geometry: from detector pixels to the sky, on gwcs."""
