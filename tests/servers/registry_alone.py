"""The registry as a process with a real database and HTTP port, but a bus and an object store of its own.

`python -m tests.servers.registry_alone FOLDER`; its settings are the registry's.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.memory import MemoryBus
from archloop.ops.serve import Served, main
from services.registry.app import running
from services.registry.settings import RegistrySettings
from services.registry.stores.mongo import MongoStore


@asynccontextmanager
async def served(settings: RegistrySettings) -> AsyncIterator[Served]:
    """The service, with nobody else on its bus."""
    assert settings.mongo_url is not None
    store = await MongoStore.open(settings.mongo_url.get_secret_value(), settings.mongo_database)
    bus, blobs = MemoryBus(), DirectoryBlobs(Path(sys.argv[1]))
    try:
        async with running(settings, bus=bus, blobs=blobs, store=store) as app:
            yield Served((app.subscription,), {"database": store.ping}, app.api)
    finally:
        await bus.close()
        await store.close()


if __name__ == "__main__":
    sys.exit(main(RegistrySettings, served))
