"""CUDA without a GPU: kernels run on the CPU, under checks that no GPU makes.

`host` compiles the unmodified CUDA C++ with g++ and runs it; `fakecupy` stands in for CuPy, with
arrays that refuse what CuPy's refuse; `nvrtc` compiles for real GPUs, which needs none.
"""
