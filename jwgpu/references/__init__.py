"""Where a reference comes from: an override, a folder or CRDS; and what it is once decoded."""
