"""The object-store port: immutable bytes under keys, verified by hash on every read."""

import re
from typing import Protocol

from archloop.contracts.values import BlobRef, sha256_of
from archloop.errors import Conflict, IntegrityError, InvalidInput

_KEY = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[\w.=@-]{1,255}(?:/[\w.=@-]{1,255})*", re.ASCII)


class Readable(Protocol):
    """What may only be read, by those who know its hash."""

    async def get(self, ref: BlobRef) -> bytes:
        """Read and verify. Raises NotFound, IntegrityError."""


class Blobs(Readable, Protocol):
    """Keys are relative slash-separated paths; bytes once put are never changed."""

    async def put(self, key: str, content: bytes) -> BlobRef:
        """Store atomically; the same bytes again change nothing. Raises Conflict if other bytes are there."""

    async def find(self, key: str) -> BlobRef | None:
        """What lies under the key, if anything."""

    async def list(self, prefix: str) -> list[str]:
        """Keys that begin with the prefix, sorted."""

    async def ping(self) -> None:
        """Return if the store answers. Raises Unavailable, Misconfigured."""


def checked_key(key: str) -> str:
    """The key, or InvalidInput where it could reach outside of the store."""
    if not _KEY.fullmatch(key) or len(key) > 512:
        raise InvalidInput(
            "key", key, "slash-separated names of ASCII letters, digits and _.=@-, at most 255 each, without . or .."
        )
    return key


def ref_of(key: str, content: bytes) -> BlobRef:
    """The claim check of these bytes under this key."""
    return BlobRef(key=key, sha256=sha256_of(content), bytes=len(content))


def verified(content: bytes, ref: BlobRef) -> bytes:
    """The bytes. Raises IntegrityError where they are not what the claim check says."""
    if (found := sha256_of(content)) != ref.sha256:
        raise IntegrityError(f"blob {ref.key!r} is corrupt: sha256 is {found}, expected {ref.sha256}")
    return content


def taken(key: str) -> Conflict:
    """What is raised where other bytes lie under the key."""
    return Conflict(f"blob {key!r} exists with other bytes; blobs are immutable")
