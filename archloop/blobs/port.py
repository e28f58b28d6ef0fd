"""The object-store port: immutable bytes under keys, verified by hash on every read."""

import re
from typing import Protocol

from archloop.contracts.values import BlobRef, sha256_of
from archloop.errors import Conflict, IntegrityError, InvalidInput

_KEY = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[\w.=@-]{1,255}(?:/[\w.=@-]{1,255})*", re.ASCII)


class Readable(Protocol):
    """A store of which its user may only read blobs, by their hash."""

    async def get(self, ref: BlobRef) -> bytes:
        """Read the bytes and verify their hash. Raises NotFound, IntegrityError."""


class Blobs(Readable, Protocol):
    """A store of immutable bytes; keys are relative slash-separated paths."""

    async def put(self, key: str, content: bytes) -> BlobRef:
        """Store the bytes atomically; the same again changes nothing. Raises Conflict if other bytes are there."""

    async def find(self, key: str) -> BlobRef | None:
        """Return the reference to what lies under the key; None where nothing does."""

    async def list(self, prefix: str) -> list[str]:
        """Return the keys that begin with the prefix, sorted."""

    async def ping(self) -> None:
        """Return if the store answers. Raises Unavailable, Misconfigured."""


def checked_key(key: str) -> str:
    """Return the key. Raises InvalidInput where it could reach outside of the store."""
    if not _KEY.fullmatch(key) or len(key) > 512:
        raise InvalidInput(
            "key", key, "slash-separated names of ASCII letters, digits and _.=@-, at most 255 each, without . or .."
        )
    return key


def ref_of(key: str, content: bytes) -> BlobRef:
    """Return the reference to these bytes under this key."""
    return BlobRef(key=key, sha256=sha256_of(content), bytes=len(content))


def verified(content: bytes, ref: BlobRef) -> bytes:
    """Return the bytes. Raises IntegrityError where their hash is not the reference's."""
    if (found := sha256_of(content)) != ref.sha256:
        raise IntegrityError(f"blob {ref.key!r} is corrupt: sha256 is {found}, expected {ref.sha256}")
    return content


def taken(key: str) -> Conflict:
    """Return the error to raise where other bytes lie under the key."""
    return Conflict(f"blob {key!r} exists with other bytes; blobs are immutable")
