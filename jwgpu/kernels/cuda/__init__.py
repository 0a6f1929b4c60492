"""Headers that CUDA kernels share: device functions, and the flags by their names."""
