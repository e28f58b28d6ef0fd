"""What is particular to blobs on an S3 server: access, a server that is away, and objects that others put there."""

import asyncio
import io
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from archloop.blobs.minio import Bucket, MinioBlobs, Patience
from archloop.contracts.values import BlobRef, sha256_of
from archloop.errors import IntegrityError, InvalidInput, Misconfigured, NotFound, Unavailable
from tests.servers.process import free_ports
from tests.servers.s3 import S3

REF = BlobRef(key="a", sha256=sha256_of(b"x"), bytes=1)
HASTY = Patience(connect_s=0.5, read_s=0.5, retries=1)

Verb = Callable[[MinioBlobs], Awaitable[object]]
VERBS: dict[str, Verb] = {
    "put": lambda b: b.put("a", b"x"),
    "get": lambda b: b.get(REF),
    "find": lambda b: b.find("a"),
    "list": lambda b: b.list("a"),
    "ping": lambda b: b.ping(),
}


@pytest.fixture(params=VERBS.values(), ids=VERBS.keys())
def verb(request: pytest.FixtureRequest) -> Verb:
    return request.param


@pytest.fixture
def bucket(s3: S3) -> Bucket:
    return Bucket(s3.endpoint, f"t-{uuid.uuid4().hex}", s3.access_key, s3.secret_key)


@pytest.fixture
async def blobs(bucket: Bucket) -> MinioBlobs:
    blobs = MinioBlobs(bucket)
    await blobs.ensure_bucket()
    return blobs


def away(port: int) -> MinioBlobs:
    return MinioBlobs(Bucket(f"http://127.0.0.1:{port}", "bucket", "key", "hunter2"), HASTY)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """The port of a server that says the same to every request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_wrong_secret_is_a_permanent_error_that_names_the_setting_alone(
    bucket: Bucket, blobs: MinioBlobs, verb: Verb
) -> None:
    stranger = MinioBlobs(replace(bucket, secret_key="hunter2"))
    with pytest.raises(Misconfigured, match="ARCHLOOP_S3_SECRET_KEY") as raised:
        await verb(stranger)
    for secret in ("hunter2", bucket.secret_key):
        assert secret not in f"{raised.value}{raised.value.__cause__}"
    assert bucket.secret_key not in repr(bucket)


async def test_an_unknown_key_is_named_with_the_service_setting(bucket: Bucket, blobs: MinioBlobs, verb: Verb) -> None:
    stranger = MinioBlobs(replace(bucket, access_key="nobody", settings="ARCHLOOP_TRAINER_S3"))
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_TRAINER_S3_ACCESS_KEY.*'nobody'"):
        await verb(stranger)


async def test_a_missing_bucket_is_a_permanent_error_that_names_it(bucket: Bucket, verb: Verb) -> None:
    with pytest.raises(Misconfigured, match=f"ARCHLOOP_S3_BUCKET.*{bucket.endpoint}.*{bucket.name}"):
        await verb(MinioBlobs(bucket))


async def test_a_bucket_is_made_once_however_many_ask(bucket: Bucket) -> None:
    everyone = [MinioBlobs(bucket) for _ in range(4)]
    await asyncio.gather(*(b.ensure_bucket() for b in everyone))
    ref = await everyone[0].put("a", b"x")
    await everyone[1].ensure_bucket()
    assert await everyone[2].get(ref) == b"x"
    await everyone[3].ping()


async def test_a_server_that_is_not_there_is_a_retryable_error_that_names_it(verb: Verb) -> None:
    (port,) = free_ports(1)
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}") as raised:
        await verb(away(port))
    assert "hunter2" not in str(raised.value)


async def test_a_server_that_never_answers_is_given_up(verb: Verb) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match=r"[Tt]imed? ?out"):
                await verb(away(silent.getsockname()[1]))


async def test_a_failing_server_is_a_retryable_error(verb: Verb) -> None:
    async with answering(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") as port:
        with pytest.raises(Unavailable, match="503"):
            await verb(away(port))


async def test_a_server_that_speaks_no_s3_is_a_permanent_error(verb: Verb) -> None:
    page = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
    async with answering(page) as port:
        with pytest.raises(Misconfigured, match=f"ARCHLOOP_S3_(ENDPOINT|BUCKET).*127.0.0.1:{port}"):
            await verb(away(port))


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://minio", "http://", "http://key:hunter2@minio", "http://m/x"])
def test_an_endpoint_that_cannot_be_right_is_refused_without_its_secret(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="ARCHLOOP_S3_ENDPOINT") as raised:
        MinioBlobs(Bucket(endpoint, "bucket", "key", "secret"))
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "no", "Upper", "a/b", "-x-", "x" * 64])
def test_a_bucket_name_that_cannot_be_right_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="ARCHLOOP_S3_BUCKET"):
        MinioBlobs(Bucket("http://minio:9000", name, "key", "secret"))


async def test_what_others_put_there_without_a_hash_is_found_by_reading_it(
    s3: S3, bucket: Bucket, blobs: MinioBlobs
) -> None:
    s3.client().put_object(bucket.name, "a", io.BytesIO(b"x"), 1)
    assert await blobs.find("a") == REF
    assert await blobs.put("a", b"x") == REF


async def test_what_others_change_is_noticed(s3: S3, bucket: Bucket, blobs: MinioBlobs) -> None:
    ref = await blobs.put("a", b"x")
    s3.client().put_object(bucket.name, "a", io.BytesIO(b"y"), 1, metadata={"sha256": ref.sha256})
    with pytest.raises(IntegrityError, match="'a' is corrupt"):
        await blobs.get(ref)
    s3.client().remove_object(bucket.name, "a")
    with pytest.raises(NotFound, match="'a'"):
        await blobs.get(ref)


async def test_more_than_one_part_s_worth_is_still_one_conditional_write(blobs: MinioBlobs) -> None:
    content = bytes(12 * 1024**2)
    ref = await blobs.put("big", content)
    assert await blobs.put("big", content) == ref
    assert await blobs.get(ref) == content
