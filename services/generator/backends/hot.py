"""What servers have in common that load adapters while they serve, by vLLM's routes."""

from pathlib import Path

from services.generator import transport
from services.generator.backends.hub import Hub


class HotLoading:
    """Everything of the port but `base` and `generate`, for the server at the root `url`."""

    def __init__(self, url: str, timeout_s: float, token: str, *, streams: bool) -> None:
        self._hub = Hub(url, timeout_s, token, streams)
        self._admin = transport.Admin(url, timeout_s, token)

    async def ready(self) -> bool:
        """See the port."""
        return await self._admin.healthy()

    async def adapters(self) -> frozenset[str]:
        """See the port."""
        return frozenset(await self._admin.adapters())

    async def load(self, name: str, path: Path) -> None:
        """See the port. The server reads `path` itself, so the folder must be at the same place there."""
        await self._admin.load_adapter(name, path)

    async def adopt(self, name: str) -> None:
        """See the port. It is served beside the others already."""

    async def unload(self, name: str) -> None:
        """See the port."""
        await self._admin.unload_adapter(name)

    async def close(self) -> None:
        """See the port."""
        await self._hub.close()
        await self._admin.close()
