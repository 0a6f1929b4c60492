"""What is computed: one folder a computation, its contract in ``__init__.py``, a body a device beside it."""
