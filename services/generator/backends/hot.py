"""What backends have in common whose servers load adapters while they serve, by vLLM's routes."""

from pathlib import Path

from typing_extensions import override

from services.generator import transport
from services.generator.backends.hub import Hub
from services.generator.backends.port import Backend


class HotLoading(Backend):
    """Backend without `base` and `generate`, for the server at the root `url`."""

    def __init__(self, url: str, timeout_s: float, token: str, *, streams: bool) -> None:
        self._hub = Hub(url, timeout_s, token, streams)
        self._server = transport.VllmClient(url, timeout_s, token)

    @override
    async def ready(self) -> bool:
        return await self._server.healthy()

    @override
    async def adapters(self) -> frozenset[str]:
        return frozenset(await self._server.adapters())

    @override
    async def load(self, name: str, path: Path) -> None:
        """Load the adapter. The server reads `path` itself, so the folder must be at the same place there."""
        await self._server.load_adapter(name, path)

    @override
    async def adopt(self, name: str) -> None:
        """Do nothing: the adapter is served beside the others already."""

    @override
    async def unload(self, name: str) -> None:
        await self._server.unload_adapter(name)

    @override
    async def close(self) -> None:
        await self._hub.close()
        await self._server.close()
