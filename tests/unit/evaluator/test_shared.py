import mmap
import os

import numpy as np
import pytest

from services.evaluator.harness.arrays import mapped
from services.evaluator.sandbox.shared import SharedArray

ARRAY = np.arange(24, dtype=np.int64).reshape(2, 3, 4)


@pytest.fixture
def shared():
    array = SharedArray.of(ARRAY)
    yield array
    array.close()


def test_an_array_is_read_back_as_it_was(shared):
    assert (mapped(shared.fd, shared.dtype, shared.shape) == ARRAY).all()


def test_writing_to_a_mapping_changes_nobody_elses(shared):
    mine = mapped(shared.fd, shared.dtype, shared.shape)
    mine[:] = 0
    assert (mapped(shared.fd, shared.dtype, shared.shape) == ARRAY).all()


def test_the_memory_behind_it_is_sealed(shared):
    for change in (lambda: os.pwrite(shared.fd, b"x", 0), lambda: os.ftruncate(shared.fd, 1)):
        with pytest.raises(PermissionError):
            change()
    with pytest.raises(PermissionError):
        mmap.mmap(shared.fd, 0, access=mmap.ACCESS_WRITE)


def test_closing_twice_closes_no_strangers_descriptor(shared):
    shared.close()
    stranger = os.open("/dev/null", os.O_RDONLY)
    shared.close()
    os.fstat(stranger)
    os.close(stranger)
