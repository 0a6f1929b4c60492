"""Moving data: devices, references and exposures brought together for a step or pipeline."""
