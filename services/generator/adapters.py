"""Adapter versions that a generator replica serves: it brings them up, proves them, and unloads the oldest.

A request pins the version that it begins with. The previous version stays loaded, so that going back costs nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.values import AdapterRef
from archloop.errors import InvalidInput, Unavailable
from services.generator.adapter_files import AdapterFiles
from services.generator.adapter_policy import check_files, check_manifest, prove
from services.generator.backends.port import Backend
from services.generator.errors import AdapterDamaged, AdapterUnusable
from services.generator.lifecycle import State, Version

log = structlog.get_logger(__name__)

RESIDENT = 2


class AdapterManager:
    """Brings up one version at a time; active ones go on serving meanwhile, whatever becomes of the new one."""

    def __init__(self, backend: Backend, files: AdapterFiles, max_bytes: int) -> None:
        self._backend, self._files, self._max_bytes = backend, files, max_bytes
        self._active: dict[str, Version] = {}
        self._rejected: dict[AdapterRef, str] = {}
        self._lock = asyncio.Lock()
        self._owed: dict[str, AdapterRef] = {}
        self._restoring: asyncio.Task[None] | None = None

    @property
    def active(self) -> list[str]:
        """Adapters that are served at once, the one used last at the end."""
        return list(self._active)

    async def ensure(self, ref: AdapterRef) -> None:
        """Serve this version. Raises AdapterUnusable for good; Unavailable where it may work later."""
        if not self._serving(ref):
            async with self._lock:
                if not self._serving(ref):
                    await self._bring_up(ref)
        self._active[ref.adapter] = self._active.pop(ref.adapter)
        self._owed.pop(ref.adapter, None)

    @asynccontextmanager
    async def pinned(self, ref: AdapterRef | None) -> AsyncIterator[str | None]:
        """Yield the adapter's name at the server; the version stays loaded until the context is left."""
        if ref is None:
            yield None
            return
        await self.ensure(ref)
        with self._active[ref.adapter].in_flight.one():
            yield ref.adapter

    async def lost(self, ref: AdapterRef) -> None:
        """Check whether the server still has the version; if not, the next `ensure` brings it up again."""
        if ref.adapter not in await self._backend.adapters():
            self._active.pop(ref.adapter, None)

    async def ping(self) -> None:
        """Return if the model server answers and has every version that is active here. Raises Unavailable."""
        loaded = await self._backend.adapters()
        for name in [name for name in self._active if name not in loaded]:
            self._owed[name] = self._active.pop(name).ref
        if not self._owed:
            return
        if self._restoring is None or self._restoring.done():
            self._restoring = asyncio.create_task(self._restore())
        raise Unavailable(f"the model server has been restarted and is given back {', '.join(sorted(self._owed))}")

    def close(self) -> None:
        """Delete the private files."""
        if self._restoring is not None:
            self._restoring.cancel()
        for version in self._active.values():
            self._files.forget(version.ref)

    async def _restore(self) -> None:
        """Bring up and prove each owed version again, except those that the server no longer accepts."""
        for ref in list(self._owed.values()):
            try:
                await self.ensure(ref)
            except AdapterUnusable:
                self._owed.pop(ref.adapter, None)
            except Unavailable:
                return

    def _serving(self, ref: AdapterRef) -> bool:
        """Return whether this version is active, which its manifest's hash decides, not its place."""
        version = self._active.get(ref.adapter)
        if version is None or version.state is not State.ACTIVE:
            return False
        return version.ref.manifest.sha256 == ref.manifest.sha256

    async def _bring_up(self, ref: AdapterRef) -> None:
        if ref in self._rejected:
            raise AdapterUnusable(self._rejected[ref])
        version = Version(ref)
        try:
            await self._climb(version)
        except (AdapterUnusable, InvalidInput) as error:
            version.move(State.REJECTED)
            await self._drop(ref)
            if not isinstance(error, AdapterDamaged):
                self._rejected[ref] = str(error)
            raise AdapterUnusable(str(error)) from error
        except BaseException:
            await self._drop(ref)
            raise
        self._active[ref.adapter] = version

    async def _climb(self, version: Version) -> None:
        ref = version.ref
        manifest = await self._files.manifest(ref)
        check_manifest(manifest, ref.adapter, await self._backend.base(), self._max_bytes)
        folder = await self._files.fetch(ref, manifest)
        version.move(State.FETCHED)
        check_files(folder, manifest)
        version.move(State.VALIDATED)
        await self._make_room()
        await self._load(version, folder, manifest)
        await self._backend.adopt(ref.adapter)
        version.move(State.ACTIVE)

    async def _load(self, version: Version, folder: Path, manifest: AdapterManifest) -> None:
        """Load and prove the version; one that the server has under the name already stays if it is proven.

        It is not if it is an earlier run's adapter of the same name.
        """
        name = version.ref.adapter
        if (other := self._active.get(name)) is not None:
            await self._retire(other)
        if name in await self._backend.adapters():
            try:
                await prove(self._backend, name, manifest.probe)
            except AdapterUnusable:
                log.warning("the model server has another adapter of the name", adapter=name)
                await self._backend.unload(name)
        if name not in await self._backend.adapters():
            await self._backend.load(name, folder)
        version.move(State.LOADED)
        await prove(self._backend, name, manifest.probe)
        version.move(State.PROBED)

    async def _make_room(self) -> None:
        while len(self._active) >= RESIDENT:
            await self._retire(next(iter(self._active.values())))

    async def _retire(self, version: Version) -> None:
        if version.state is State.ACTIVE:
            version.move(State.DRAINING)
        await version.in_flight.none()
        await self._backend.unload(version.ref.adapter)
        self._files.forget(version.ref)
        del self._active[version.ref.adapter]
        version.move(State.RETIRED)

    async def _drop(self, ref: AdapterRef) -> None:
        """Undo what a failed bring-up left."""
        self._files.forget(ref)
        if ref.adapter in self._active:  # another one of the name, which serves on
            return
        with suppress(Unavailable):
            await self._backend.unload(ref.adapter)
