"""What every Blobs adapter must do; each adapter runs the same suite."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.blobs.minio import Bucket, MinioBlobs
from archloop.blobs.port import Blobs
from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound


async def directory(request: pytest.FixtureRequest) -> Blobs:
    return DirectoryBlobs(request.getfixturevalue("tmp_path") / "blobs")


async def minio(request: pytest.FixtureRequest) -> Blobs:
    server = request.getfixturevalue("s3")
    blobs = MinioBlobs(Bucket(server.endpoint, f"t-{uuid.uuid4().hex}", server.access_key, server.secret_key))
    await blobs.ensure_bucket()
    return blobs


@pytest.fixture(params=[directory, minio])
async def blobs(request: pytest.FixtureRequest) -> Blobs:
    opened: Callable[[pytest.FixtureRequest], Awaitable[Blobs]] = request.param
    return await opened(request)


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


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a/../b", "", "a//b", "a/", "a\x00b", ".", "a/.", "x" * 256, "x/" * 300 + "x", "é"]
)
async def test_a_key_cannot_reach_outside_of_the_store(blobs: Blobs, key: str) -> None:
    with pytest.raises(InvalidInput, match="key"):
        await blobs.put(key, b"x")


async def test_a_blob_may_be_empty_or_any_bytes(blobs: Blobs) -> None:
    for key, content in {"empty": b"", "any": bytes(range(256)) * 4096}.items():
        ref = await blobs.put(key, content)
        assert await blobs.get(ref) == content
        assert await blobs.find(key) == ref


async def test_nothing_lies_under_a_prefix_that_no_key_has(blobs: Blobs) -> None:
    await blobs.put("x/1", b"1")
    assert await blobs.list("z") == []
    assert await blobs.list("x/1") == await blobs.list("") == ["x/1"]


async def test_of_many_writers_with_other_bytes_one_wins(blobs: Blobs) -> None:
    put = await asyncio.gather(*(blobs.put("a", bytes([n])) for n in range(8)), return_exceptions=True)
    (winner,) = (ref for ref in put if not isinstance(ref, BaseException))
    assert sum(isinstance(ref, Conflict) for ref in put) == 7
    assert await blobs.find("a") == winner
