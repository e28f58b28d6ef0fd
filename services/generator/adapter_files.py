"""Adapters from the object store, verified, in a private folder from which the model server loads them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from archloop.blobs.port import Blobs
from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.values import AdapterRef, BlobRef
from archloop.errors import IntegrityError, InvalidInput, NotFound
from services.generator.errors import AdapterDamaged, AdapterUnusable

MAX_MANIFEST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class AdapterFiles:
    """Folders of fetched adapters, named after the adapter and its manifest's hash.

    Files of an earlier process are not trusted, but fetched again.
    """

    blobs: Blobs
    cache: Path

    def folder(self, ref: AdapterRef) -> Path:
        """Return the folder of this version, which need not exist."""
        return self.cache / f"{ref.adapter}-{ref.manifest.sha256[:12]}"

    async def manifest(self, ref: AdapterRef) -> AdapterManifest:
        """Return the verified manifest. Raises AdapterUnusable; Unavailable where the store is down."""
        content = await self._fetch(ref.manifest, MAX_MANIFEST_BYTES)
        try:
            return AdapterManifest.model_validate_json(content)
        except ValidationError as error:
            raise AdapterUnusable(f"blob {ref.manifest.key!r} is no adapter manifest: {error}") from error

    async def fetch(self, ref: AdapterRef, manifest: AdapterManifest) -> Path:
        """Write every file of the manifest, verified, into the version's folder.

        Raises AdapterUnusable; Unavailable where the store is down.
        """
        contents = {name: await self._fetch(blob, blob.bytes) for name, blob in manifest.files.items()}
        self.forget(ref)
        folder = self.folder(ref)
        folder.mkdir(mode=0o700, parents=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return folder

    def forget(self, ref: AdapterRef) -> None:
        """Delete the folder, if it is there."""
        shutil.rmtree(self.folder(ref), ignore_errors=True)

    async def _fetch(self, blob: BlobRef, limit: int) -> bytes:
        if blob.bytes > limit:
            raise AdapterUnusable(f"blob {blob.key!r}: {blob.bytes} bytes are too many; at most {limit} are taken")
        try:
            content = await self.blobs.get(blob)
        except (IntegrityError, NotFound, InvalidInput) as error:
            raise AdapterDamaged(str(error)) from error
        if len(content) != blob.bytes:
            raise AdapterUnusable(f"blob {blob.key!r}: {len(content)} bytes, expected {blob.bytes}")
        return content
