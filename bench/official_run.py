"""Run the official Detector1Pipeline on one exposure, offline: the other side of compare_jwst.py.

    python bench/official_run.py --references DIR --output-dir DIR exposure_uncal.fits

Reference files are matched by their names, ``jwst_<instrument>_<reftype>_….fits``, so the folder
must hold those of one detector only; types that are not there are "N/A".
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exposure", type=Path)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--output-dir", type=Path, required=True)
    arguments = parser.parse_args()

    from offline import official_detector1

    references = {}
    for path in sorted(arguments.references.glob("jwst_*.fits")):
        reftype = path.name.split("_")[2]
        if reftype in references:
            parser.error(f"two {reftype} files in {arguments.references}; keep one detector's")
        references[reftype] = path
    products = official_detector1(arguments.exposure, references, arguments.output_dir)
    print(products.rate)


if __name__ == "__main__":
    main()
