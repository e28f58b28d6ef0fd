"""Adapters in the object store: files first, the manifest last, so that an adapter with a manifest is complete."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from archloop.adapters import ADAPTER_FILES
from archloop.blobs.port import Blobs
from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.values import AdapterRef, BlobRef, sha256_of
from archloop.errors import Conflict, IntegrityError

_SPARE_NAMES = 9
_LONGEST_NAME = 63


class Published(NamedTuple):
    """Complete adapter with its manifest."""

    ref: AdapterRef
    manifest: AdapterManifest


def names(adapter: str, job_sha256: str) -> Iterator[str]:
    """Yield the name that was asked for, then those that this training alone may take instead."""
    yield adapter
    for number in range(1, _SPARE_NAMES + 1):
        end = f"-{job_sha256[:8]}" + (f"-{number}" if number > 1 else "")
        yield adapter[: _LONGEST_NAME - len(end)].rstrip("-") + end


async def find(blobs: Blobs, adapter: str) -> Published | None:
    """Return the adapter of this name, if it is complete. Raises IntegrityError."""
    found = await blobs.find(_key(adapter, "manifest.json"))
    if found is None:
        return None
    manifest = await read_manifest(blobs, found)
    if manifest.adapter != adapter:
        raise IntegrityError(f"blob {found.key!r} is the manifest of {manifest.adapter!r}")
    return Published(AdapterRef(adapter=adapter, manifest=found, base_model=manifest.base_model), manifest)


async def publish(
    blobs: Blobs, adapter: str, folder: Path, describe: Callable[[dict[str, BlobRef]], AdapterManifest]
) -> Published:
    """Store the files in `folder`, then the manifest. Where another replica was faster, its adapter stands."""
    files = {name: await _put_file(blobs, adapter, name, (folder / name).read_bytes()) for name in ADAPTER_FILES}
    manifest = describe(files)
    with contextlib.suppress(Conflict):
        await blobs.put(_key(adapter, "manifest.json"), manifest.model_dump_json(indent=1).encode())
    published = await find(blobs, adapter)
    assert published is not None
    return published


async def fetch(blobs: Blobs, manifest: AdapterManifest, folder: Path) -> None:
    """Write the adapter's two files, and no others, into `folder`. Raises IntegrityError, NotFound."""
    folder.mkdir()
    for name in ADAPTER_FILES:
        if name not in manifest.files:
            raise IntegrityError(f"the manifest of adapter {manifest.adapter!r} does not list {name}")
        (folder / name).write_bytes(await blobs.get(manifest.files[name]))


async def verify(blobs: Blobs, manifest: AdapterManifest) -> None:
    """Read every file. Raises IntegrityError, NotFound."""
    for ref in manifest.files.values():
        await blobs.get(ref)


async def read_manifest(blobs: Blobs, ref: BlobRef) -> AdapterManifest:
    """Read a manifest. Raises IntegrityError where it is corrupt, NotFound where it is gone."""
    try:
        return AdapterManifest.model_validate_json(await blobs.get(ref))
    except ValidationError as error:
        raise IntegrityError(f"blob {ref.key!r} is no adapter manifest: {error}") from error


async def _put_file(blobs: Blobs, adapter: str, name: str, content: bytes) -> BlobRef:
    """Store a file; under another key where a dead trainer left other bytes, since blobs are immutable."""
    try:
        return await blobs.put(_key(adapter, name), content)
    except Conflict:
        return await blobs.put(_key(adapter, f"{sha256_of(content)[:12]}/{name}"), content)


def _key(adapter: str, name: str) -> str:
    return f"adapters/{adapter}/{name}"
