"""Which adapter versions a generator replica serves: brings them up, proves them, and lets the oldest go.

A request pins the version that it begins with. The previous version stays loaded, so that going back is free.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from archloop.contracts.values import AdapterRef
from archloop.errors import ArchloopError, InvalidInput, Unavailable
from services.generator.adapter_files import AdapterFiles
from services.generator.adapter_policy import check_files, check_manifest
from services.generator.backends.port import Backend
from services.generator.errors import AdapterUnusable
from services.generator.lifecycle import State, Version
from services.generator.probing import prove

log = structlog.get_logger(__name__)

RESIDENT = 2


class AdapterManager:
    """One bring-up at a time; what is active goes on serving meanwhile, whatever becomes of the new one."""

    def __init__(self, backend: Backend, files: AdapterFiles, max_bytes: int) -> None:
        self._backend, self._files, self._max_bytes = backend, files, max_bytes
        self._active: dict[str, Version] = {}
        self._rejected: dict[AdapterRef, str] = {}
        self._lock = asyncio.Lock()
        self._restoring: asyncio.Task[None] | None = None

    @property
    def active(self) -> list[str]:
        """What can be served at once, the one used last at the end."""
        return list(self._active)

    async def ensure(self, ref: AdapterRef) -> None:
        """Serve this version. Raises AdapterUnusable for good; Unavailable where it may work later."""
        if not self._serving(ref):
            async with self._lock:
                if not self._serving(ref):
                    await self._bring_up(ref)
        self._active[ref.adapter] = self._active.pop(ref.adapter)

    @asynccontextmanager
    async def pinned(self, ref: AdapterRef | None) -> AsyncIterator[str | None]:
        """The name to ask the server for; the version stays loaded until the context is left."""
        if ref is None:
            yield None
            return
        await self.ensure(ref)
        async with self._active[ref.adapter].pinned():
            yield ref.adapter

    async def lost(self, ref: AdapterRef) -> None:
        """Look whether the server still has the version; if not, the next `ensure` brings it up again."""
        if ref.adapter not in await self._backend.adapters():
            self._active.pop(ref.adapter, None)

    async def ping(self) -> None:
        """Return if the model server answers and has every version that is active here. Raises Unavailable."""
        served = await self._backend.adapters()
        missing = [version for name, version in self._active.items() if name not in served]
        if missing and (self._restoring is None or self._restoring.done()):
            self._restoring = asyncio.create_task(self._restore(missing))
        if missing:
            names = ", ".join(sorted(version.ref.adapter for version in missing))
            raise Unavailable(f"the model server has been restarted and is given back {names}")

    def close(self) -> None:
        """Delete the private files."""
        if self._restoring is not None:
            self._restoring.cancel()
        for version in self._active.values():
            self._files.forget(version.ref)

    async def _restore(self, lost: Sequence[Version]) -> None:
        """Each is proven again; one that cannot be any more is left to the next request for it."""
        for version in lost:
            self._active.pop(version.ref.adapter, None)
            with suppress(ArchloopError):
                await self.ensure(version.ref)

    def _serving(self, ref: AdapterRef) -> bool:
        version = self._active.get(ref.adapter)
        if version is not None and version.ref != ref:
            raise AdapterUnusable(f"adapter {ref.adapter!r} is served with another manifest; versions are immutable")
        return version is not None and version.state is State.ACTIVE

    async def _bring_up(self, ref: AdapterRef) -> None:
        if ref in self._rejected:
            raise AdapterUnusable(self._rejected[ref])
        version = Version(ref)
        try:
            await self._climb(version)
        except (AdapterUnusable, InvalidInput) as error:
            version.move(State.REJECTED)
            await self._drop(ref)
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
        if ref.adapter not in await self._backend.adapters():
            await self._backend.load(ref.adapter, folder)
        version.move(State.LOADED)
        await prove(self._backend, ref.adapter, manifest.probe)
        version.move(State.PROBED)
        await self._backend.adopt(ref.adapter)
        version.move(State.ACTIVE)

    async def _make_room(self) -> None:
        while len(self._active) >= RESIDENT:
            oldest = next(iter(self._active.values()))
            if oldest.state is State.ACTIVE:
                oldest.move(State.DRAINING)
            await oldest.drained()
            await self._backend.unload(oldest.ref.adapter)
            self._files.forget(oldest.ref)
            del self._active[oldest.ref.adapter]
            oldest.move(State.RETIRED)

    async def _drop(self, ref: AdapterRef) -> None:
        """Undo what a failed bring-up left."""
        self._files.forget(ref)
        with suppress(Unavailable):
            await self._backend.unload(ref.adapter)
