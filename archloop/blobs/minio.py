"""Blobs in a bucket of an S3 server: MinIO, or any other that honours `If-None-Match` on writes."""

import asyncio
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import S3Error
from minio.sse import Sse
from typing_extensions import override

from archloop.addresses import place_of, proxy_for
from archloop.blobs.minio_errors import refusal, translated
from archloop.blobs.port import Blobs, checked_key, ref_of, taken, verified
from archloop.contracts.values import BlobRef
from archloop.errors import InvalidInput, Misconfigured, NotFound, Unavailable

T = TypeVar("T")

_HASH_HEADER = "x-amz-meta-sha256"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SMALLEST_PART = 5 * 1024**2
_LARGEST_PUT = 5 * 1024**3


@dataclass(frozen=True)
class Bucket:
    """Where the objects are.

    Without a `region` the server is asked for it, once.

    Attributes:
        settings: What the names of the settings begin with, for messages about them.

    """

    endpoint: str
    name: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str | None = None
    settings: str = "ARCHLOOP_S3"


@dataclass(frozen=True)
class Patience:
    """How long to wait for the server: seconds to connect, seconds between two bytes, and how often to try again."""

    connect_s: float = 5.0
    read_s: float = 30.0
    retries: int = 2


class _IfAbsent(Sse):
    """The condition that an object must not exist, as one of the headers of `sse`: `put_object` passes on no others."""

    def headers(self) -> dict[str, str]:
        return {"If-None-Match": "*"}

    def tls_required(self) -> bool:
        return False


class MinioBlobs(Blobs):
    """Blobs in a bucket. The client blocks, so each call has a thread; a blob's hash is its object's metadata."""

    def __init__(self, bucket: Bucket, patience: Patience = Patience()) -> None:
        self._bucket = bucket
        self._client = _client(bucket, patience)

    @override
    async def put(self, key: str, content: bytes) -> BlobRef:
        """Store the blob by one conditional request, so that of two writers of different bytes one fails.

        Raises Conflict if other bytes are there, InvalidInput where there are more than one request can carry.
        """
        if len(content) > _LARGEST_PUT:
            raise InvalidInput(
                "content", f"{len(content)} bytes", f"at most {_LARGEST_PUT}, which one request can carry"
            )
        ref = ref_of(checked_key(key), content)
        if not await self._call(self._put_new, ref, content):
            await self._require_same(ref)
        return ref

    @override
    async def get(self, ref: BlobRef) -> bytes:
        content = await self._call(self._read, checked_key(ref.key))
        if content is None:
            raise NotFound("blob", ref.key)
        return verified(content, ref)

    @override
    async def find(self, key: str) -> BlobRef | None:
        """Return the reference by the object's metadata, or by its bytes where others put them there without a hash."""
        return await self._call(self._find, checked_key(key))

    @override
    async def list(self, prefix: str) -> list[str]:
        return sorted(await self._call(self._keys, prefix))

    @override
    async def ping(self) -> None:
        if not await self._call(self._client.bucket_exists, self._bucket.name):
            raise refusal(self._bucket, "NoSuchBucket")

    async def ensure_bucket(self) -> None:
        """Make the bucket if there is none. Raises Unavailable, Misconfigured."""
        await self._call(self._make_bucket)

    async def _require_same(self, ref: BlobRef) -> None:
        found = await self.find(ref.key)
        if found is None:
            raise Unavailable(f"blob {ref.key!r} was there and is gone; somebody else deletes from the bucket")
        if found.sha256 != ref.sha256:
            raise taken(ref.key)

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        with translated(self._bucket):
            return await asyncio.to_thread(function, *arguments)

    def _put_new(self, ref: BlobRef, content: bytes) -> bool:
        """Store the object if its key is free; return whether it was."""
        put = partial(
            self._client.put_object,
            self._bucket.name,
            ref.key,
            io.BytesIO(content),
            len(content),
            metadata={"sha256": ref.sha256},
            sse=_IfAbsent(),
            part_size=max(len(content), _SMALLEST_PART),
        )
        return _unless("PreconditionFailed", put) is not None

    def _read(self, key: str) -> bytes | None:
        response = _unless("NoSuchKey", partial(self._client.get_object, self._bucket.name, key))
        if response is None:
            return None
        try:
            content: bytes = response.read()
            return content
        finally:
            response.close()
            response.release_conn()

    def _find(self, key: str) -> BlobRef | None:
        found = _unless("NoSuchKey", partial(self._client.stat_object, self._bucket.name, key))
        if found is None:
            return None
        stored = (found.metadata or {}).get(_HASH_HEADER, "")
        if _SHA256.fullmatch(stored):
            return BlobRef(key=key, sha256=stored, bytes=found.size or 0)
        content = self._read(key)
        return None if content is None else ref_of(key, content)

    def _keys(self, prefix: str) -> Sequence[str]:
        found = self._client.list_objects(self._bucket.name, prefix=prefix, recursive=True)
        return [each.object_name for each in found if each.object_name and not each.is_dir]

    def _make_bucket(self) -> None:
        if not self._client.bucket_exists(self._bucket.name):
            _unless("BucketAlreadyOwnedByYou", partial(self._client.make_bucket, self._bucket.name))


def _unless(code: str, request: Callable[[], T]) -> T | None:
    """Return what the server answers, or None where it refuses with this error code."""
    try:
        return request()
    except S3Error as error:
        if error.code != code:
            raise
        return None


def _client(bucket: Bucket, patience: Patience) -> Minio:
    """Make the client. Raises InvalidInput that names the setting which cannot be right."""
    url = urlsplit(bucket.endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname or "@" in url.netloc or url.path.strip("/") or url.query:
        # An endpoint with credentials in it is not repeated.
        shown = bucket.endpoint.rpartition("@")[2]
        raise InvalidInput(f"{bucket.settings}_ENDPOINT", shown, "http://host:port or https://host:port and no more")
    if not _BUCKET.fullmatch(bucket.name):
        raise InvalidInput(f"{bucket.settings}_BUCKET", bucket.name, "3 to 63 of a-z, 0-9, - and .")
    return Minio(
        url.netloc,
        access_key=bucket.access_key,
        secret_key=bucket.secret_key,
        secure=url.scheme == "https",
        region=bucket.region,
        http_client=_pool(bucket.endpoint, patience),
    )


def _pool(endpoint: str, patience: Patience) -> urllib3.PoolManager:
    """Make the connection pool, over the proxy that the environment names, which urllib3 does not look for.

    Raises Misconfigured where that is no HTTP proxy.
    """
    proxy = proxy_for(endpoint)
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise Misconfigured("ALL_PROXY", f"{place_of(proxy)} is no HTTP proxy; objects are reached by no other")
    kind = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
    return kind(
        timeout=urllib3.Timeout(connect=patience.connect_s, read=patience.read_s),
        retries=urllib3.Retry(total=patience.retries, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        maxsize=16,
    )
