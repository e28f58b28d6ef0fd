"""What every Blobs adapter must do; each adapter runs the same suite."""

from pathlib import Path

import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.blobs.port import Blobs
from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return DirectoryBlobs(tmp_path / "blobs")


async def test_what_was_put_is_read_back(blobs: Blobs) -> None:
    ref = await blobs.put("runs/r/pairs.jsonl", b"content")
    assert await blobs.get(ref) == b"content"
    assert ref.bytes == 7


async def test_the_same_bytes_again_change_nothing(blobs: Blobs) -> None:
    assert await blobs.put("a", b"x") == await blobs.put("a", b"x")


async def test_other_bytes_under_a_taken_key_are_refused_and_the_first_stay(blobs: Blobs) -> None:
    ref = await blobs.put("a", b"x")
    with pytest.raises(Conflict, match="'a'"):
        await blobs.put("a", b"y")
    assert await blobs.get(ref) == b"x"


async def test_bytes_that_do_not_match_their_hash_are_never_returned(blobs: Blobs) -> None:
    ref = await blobs.put("a", b"x")
    with pytest.raises(IntegrityError, match="'a' is corrupt"):
        await blobs.get(ref.model_copy(update={"sha256": "0" * 64}))


async def test_a_missing_blob_is_named(blobs: Blobs) -> None:
    ref = await blobs.put("a", b"x")
    with pytest.raises(NotFound, match="'b'"):
        await blobs.get(ref.model_copy(update={"key": "b"}))
    assert await blobs.find("b") is None


async def test_find_and_list_see_what_is_there(blobs: Blobs) -> None:
    first = await blobs.put("x/1", b"1")
    await blobs.put("x/2", b"2")
    await blobs.put("y", b"3")
    assert await blobs.find("x/1") == first
    assert await blobs.list("x/") == ["x/1", "x/2"]


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../b", "", "a//b", "a/", "a\x00b", ".", "a/.", "x" * 600])
async def test_a_key_cannot_reach_outside_of_the_store(blobs: Blobs, key: str) -> None:
    with pytest.raises(InvalidInput, match="key"):
        await blobs.put(key, b"x")
