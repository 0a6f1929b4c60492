"""``python -m jwgpu`` is the command ``jwgpu``."""

from jwgpu.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
