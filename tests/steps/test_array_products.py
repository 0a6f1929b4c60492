"""Products of the array-code steps run alone on simulated files: keywords, statuses and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits

from jwgpu.steps import registry

if TYPE_CHECKING:
    from official import Official

pytest_plugins = ("official",)

NEAR_INFRARED = {"instrument": "NIRCAM", "window": (1, 1, 64, 32), "ngroups": 5, "nints": 2}
AVERAGED = {**NEAR_INFRARED, "readpatt": "SHALLOW4"}
MIRI = {"instrument": "MIRI", "subarray": "SUB64", "ngroups": 8, "nints": 3}
CASES = [
    *[(alias, NEAR_INFRARED) for alias in ("group_scale", "dq_init", "superbias", "dark_current")],
    ("dark_current", AVERAGED),
    *[
        (alias, MIRI)
        for alias in ("dq_init", "reset", "rscd", "firstframe", "lastframe", "dark_current")
    ],
    ("reset", NEAR_INFRARED),
]
#: When, with what and by whom a product was made.
CHANGING = ("DATE", "CAL_VER", "CAL_VCS", "CRDS_VER", "CRDS_CTX", "FILENAME")


def keywords(path: Path) -> dict[str, Any]:
    header = fits.getheader(path)
    return {key: value for key, value in header.items() if key not in (*CHANGING, "COMMENT", "")}


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize(("alias", "settings"), CASES)
def test_product_equals_official(
    official: Official, alias: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    data = official.dataset(**settings)
    theirs = official.step(alias, data.exposure, data.references)
    theirs.save(tmp_path / "theirs.fits")
    entry = registry.find(alias)
    assert entry is not None
    step = registry.load(entry)()
    for kind in step.reference_file_types:
        setattr(step, f"override_{kind}", str(data.references.get(kind, "N/A")))
    result = step.run(str(data.exposure))
    result.save(tmp_path / "ours.fits")
    assert keywords(tmp_path / "ours.fits") == keywords(tmp_path / "theirs.fits")
    with fits.open(tmp_path / "ours.fits") as mine, fits.open(tmp_path / "theirs.fits") as wanted:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in wanted]
        for my_hdu, their_hdu in zip(mine, wanted, strict=True):
            if my_hdu.is_image and my_hdu.data is not None:
                assert my_hdu.data.dtype == their_hdu.data.dtype
                np.testing.assert_array_equal(my_hdu.data, their_hdu.data, my_hdu.name)
