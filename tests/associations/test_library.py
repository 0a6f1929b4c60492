"""The library of images does what the official one does, in memory and on disk."""

import gc
import gzip
import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import offline  # noqa: F401  (before anything of jwst)
import pytest
from stdatamodels.jwst import datamodels

from jwgpu.associations import open_library, read_association
from jwgpu.errors import InputError
from jwgpu.models.images import Image, mark_invalid
from jwgpu.models.library import Library, LibraryError

N = 4


def write_image(path: Path, value: float, exposure: int, shape: tuple[int, int] = (8, 9)) -> None:
    model = datamodels.ImageModel(shape)
    model.data = np.full(shape, value, np.float32)
    model.dq = np.full(shape, 4, np.uint32)
    model.meta.instrument.name, model.meta.exposure.type = "NIRCAM", "NRC_IMAGE"
    observation = model.meta.observation
    observation.program_number, observation.observation_number = "00001", "002"
    observation.visit_number, observation.visit_group = "003", "04"
    observation.sequence_id, observation.activity_id = "5", "06"
    observation.exposure_number = f"{exposure:05d}"
    model.save(path)


def write_association(folder: Path, shape: tuple[int, int] = (8, 9)) -> Path:
    members = []
    for index in range(N):
        name = f"jw{index}_cal.fits"
        # Two detectors of each exposure: a group.
        write_image(folder / name, float(index), 1 + index // 2, shape)
        members.append({"expname": name, "exptype": "science" if index else "Background"})
    members[3]["group_id"] = "mine"
    members[2]["tweakreg_catalog"] = "a_cat.ecsv"
    path = folder / "jw_asn.json"
    content = {"asn_type": "image3", "asn_pool": "pool", "products": [{"members": members}]}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_association(tmp_path_factory.mktemp("library"))


@pytest.fixture(params=[True, False], ids=["memory", "disk"])
def in_memory(request) -> bool:
    return request.param


def library_of(path: Path, in_memory: bool, **more) -> Library:
    association = read_association(path)
    return open_library(association, ("science", "background"), in_memory=in_memory, **more)


def test_it_holds_what_the_official_one_holds(path, in_memory):
    from jwst.datamodels import ModelLibrary

    ours, theirs = library_of(path, in_memory), ModelLibrary(path, on_disk=not in_memory)
    assert len(ours) == len(theirs) == N
    assert ours.exptypes == theirs.exptypes
    assert ours.groups == theirs.group_indices
    assert set(ours.groups) == {"jw00001002003_04506_00001", "jw00001002003_04506_00002", "mine"}
    for kind in ("science", "BACKGROUND", "psf"):
        assert ours.indices_of(kind) == theirs.indices_for_exptype(kind)
    with ours, theirs:
        for index in range(N):
            our, their = ours.borrow(index), theirs.borrow(index)
            np.testing.assert_array_equal(our.data, their.data)
            assert our.meta.asn.instance == their.meta.asn.instance
            for name in ("group_id", "tweakreg_catalog"):
                assert getattr(our.meta, name, None) == getattr(their.meta, name, None)
            ours.shelve(our)
            theirs.shelve(their)


def test_changes_are_kept(path, in_memory):
    library = library_of(path, in_memory)
    with library:
        image = library.borrow(1)
        image.data += 10
        image.area = np.ones((8, 9), np.float32)
        image.meta.bunit_data = "MJy/sr"
        library.shelve(image)
        del image
        again = library.borrow(1)
        assert again.data[0, 0] == 11
        assert again.area is not None
        assert again.meta.bunit_data == "MJy/sr"
        again.area = None
        library.shelve(again, 1)
        assert library.borrow(1).area is None
        library.shelve(Image(np.zeros((2, 2)), None, None, model=again.model), 1)
        assert library.borrow(1).data.shape == (2, 2)
        library.shelve(again, 1)


def test_without_modify_a_file_stays_as_it_was(path):
    library = library_of(path, in_memory=False)
    for expected in (2.0, 2.0):
        with library:
            image = library.borrow(2)
            assert image.data[0, 0] == expected
            image.data += 1
            library.shelve(image, modify=False)


def test_arrays_are_lent_by_name(path, in_memory):
    library = library_of(path, in_memory)
    with library:
        image = library.borrow(1, "data", "dq")
        assert image.err is None
        image.data += 10
        image.dq += 1
        library.shelve(image, modify=("data",))
        again = library.borrow(1)
        assert again.err is not None
        assert (again.data[0, 0], again.dq[0, 0]) == (11, 4)
        library.shelve(again, modify=False)
        # What was not lent is not forgotten by putting back the rest.
        library.shelve(library.borrow(1, "dq"))
        assert library.borrow(1).err is not None
        library.shelve(Image(None, None, None), 1, modify=False)


def test_what_is_read_again_is_amended(path, in_memory):
    library = library_of(path, in_memory)
    with library:
        image = library.borrow(1)
        image.dq[2, 3] = 1
        library.shelve(image, modify=("dq",), amend=mark_invalid)
        again = library.borrow(1, "data", "err")
        assert np.isnan(again.data[2, 3])
        assert np.isnan(again.err[2, 3])
        assert np.isnan(again.data).sum() == 1
        library.shelve(again, modify=False)


def test_a_file_that_another_one_replaced_is_named(path, in_memory, tmp_path):
    own = tmp_path / "jw1_cal.fits"
    shutil.copy(path.parent / own.name, own)
    library = Library([own], in_memory=in_memory)
    own.unlink()
    with library, pytest.raises(InputError, match="changed or removed"):
        library.borrow(0)
    shutil.copy(path.parent / "jw2_cal.fits", own)
    with library, pytest.raises(InputError, match="changed or removed"):
        library.borrow(0, "dq")
    with library:  # what is not read does not matter
        library.shelve(library.borrow(0, "nothing"))


def test_arrays_of_packed_files_are_read_once(path, tmp_path):
    packed = tmp_path / "jw1_cal.fits.gz"
    packed.write_bytes(gzip.compress((path.parent / "jw1_cal.fits").read_bytes()))
    library = Library([packed])
    with library:
        library.shelve(library.borrow(0), modify=False)
        packed.unlink()
        assert library.borrow(0).data[0, 0] == 1
        library.shelve(Image(None, None, None), 0, modify=False)


def test_what_is_lent_must_come_back(path, in_memory):
    library = library_of(path, in_memory)
    with pytest.raises(LibraryError, match="closed"):
        library.borrow(0)
    with pytest.raises(LibraryError, match="not given back"), library:
        library.borrow(0)
    with library:
        image = library.borrow(0)
        with pytest.raises(LibraryError, match="lent already"):
            library.borrow(0)
        with pytest.raises(LibraryError, match="not lent"):
            library.shelve(image, 1)
        with pytest.raises(LibraryError, match="not lent"):
            library.shelve(Image(None, None, None))
        library.shelve(image)
    with pytest.raises(LibraryError, match="closed"):
        library.shelve(image, 0)
    with pytest.raises(KeyError), library:  # not hidden by what was not given back
        library.borrow(0)
        raise KeyError
    with library:
        library.shelve(library.borrow(0))


def test_map_gives_each_in_turn(path, in_memory):
    library = library_of(path, in_memory)

    def add(image: Image, index: int) -> float:
        image.data += index
        return float(image.data[0, 0])

    assert list(library.map(add)) == [0, 2, 4, 6]
    assert list(library.map(lambda image, _: float(image.data[0, 0]), modify=False)) == [0, 2, 4, 6]


def test_map_puts_back_nothing_that_is_half_changed(path):
    library = library_of(path, in_memory=False)

    def fail(image: Image, index: int) -> None:
        image.data += 10
        if index == 1:
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        list(library.map(fail))
    assert list(library.map(lambda image, _: float(image.data[0, 0]))) == [10, 1, 2, 3]


def test_images_in_memory_make_a_library_as_officially(path, in_memory):
    from jwst.datamodels import ModelLibrary

    models = [datamodels.open(path.parent / f"jw{index}_cal.fits") for index in range(N)]
    models[1].meta.asn.exptype = "background"
    del models[2].meta.observation.visit_number
    images = [Image(model.data, model.dq, model.err, model=model) for model in models]
    ours, theirs = Library(images, in_memory=in_memory), ModelLibrary(models)
    assert ours.exptypes == theirs.exptypes
    assert ours.groups == theirs.group_indices
    assert "exposure0003" in ours.groups
    assert list(ours.map(lambda image, _: float(image.data[0, 0]))) == [0, 1, 2, 3]


def test_scratch_files_go_with_the_library(path, tmp_path):
    library = library_of(path, in_memory=False, scratch=tmp_path)
    list(library.map(lambda image, _: None))
    n_files = len(list(tmp_path.rglob("*.npy")))
    assert n_files > N

    def drop_errors(image: Image, _: int) -> None:
        image.err = None

    list(library.map(drop_errors))
    assert len(list(tmp_path.rglob("*.npy"))) == n_files - N
    del library
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_images_on_disk(tmp_path):
    shape = (512, 512)
    path = write_association(tmp_path, shape)
    size = 3 * 4 * shape[0] * shape[1]  # data, err, dq

    def used(in_memory: bool) -> tuple[int, int]:
        tracemalloc.start()
        try:
            library = library_of(path, in_memory)
            list(library.map(lambda image, _: None))
            gc.collect()
            return tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    left, peak = used(in_memory=False)
    assert left < size
    assert peak < 2.5 * size
    # The measure itself sees what memory holds.
    assert used(in_memory=True)[0] > N * size


def test_an_association_without_such_members_is_one_line(path):
    with pytest.raises(InputError, match="no psf members"):
        open_library(read_association(path), ("psf",))
