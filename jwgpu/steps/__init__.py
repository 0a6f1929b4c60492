"""Calibration steps: one file each, named by its official alias."""
