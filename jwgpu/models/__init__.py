"""Exposures in memory, their flags, and how they are read and written."""
