"""Blobs as files below one directory: the embedded mode."""

import os
import tempfile
from pathlib import Path

from typing_extensions import override

from archloop.blobs.port import Blobs, checked_key, ref_of, taken, verified
from archloop.contracts.values import BlobRef, sha256_of
from archloop.errors import NotFound, Unavailable


class DirectoryBlobs(Blobs):
    """Blobs as files. Each is written to a temporary file, synced, and linked into place: whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    @override
    async def put(self, key: str, content: bytes) -> BlobRef:
        """Store the blob. Raises Conflict if other bytes are there, Unavailable where the disk is full."""
        path = self._path(key)
        ref = ref_of(key, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _link_new(path, content)
        except FileExistsError:
            if sha256_of(path.read_bytes()) != ref.sha256:
                raise taken(key) from None
        except OSError as error:
            raise Unavailable(f"cannot write blob {key!r} below {self._root}: {error.strerror}") from error
        return ref

    @override
    async def get(self, ref: BlobRef) -> bytes:
        try:
            content = self._path(ref.key).read_bytes()
        except FileNotFoundError:
            raise NotFound("blob", ref.key) from None
        return verified(content, ref)

    @override
    async def find(self, key: str) -> BlobRef | None:
        path = self._path(key)
        if not path.is_file():
            return None
        return ref_of(key, path.read_bytes())

    @override
    async def list(self, prefix: str) -> list[str]:
        files = (p.relative_to(self._root).as_posix() for p in self._root.rglob("*") if p.is_file())
        return sorted(key for key in files if key.startswith(prefix) and not key.rpartition("/")[2].startswith("."))

    @override
    async def ping(self) -> None:
        if not os.access(self._root, os.W_OK):
            raise Unavailable(f"cannot write below {self._root}")

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)


def _link_new(path: Path, content: bytes) -> None:
    """Create `path` with `content`, whole or not at all. Raises FileExistsError if it is there."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=True) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)
