"""Our own server. It tells an unknown adapter by 404 where TGI serves the base."""

from pathlib import Path

from services.generator import transport
from services.generator.backends.hub import Hub
from services.generator.backends.port import Answer, Decoding, ServedModel

BASE = "tgi"


class CpuBackend:
    """The server at the root `url`. A model that has a chat template is asked by the chat route."""

    def __init__(self, url: str, *, timeout_s: float = 120.0, token: str = "", streams: bool = False) -> None:
        self._hub = Hub(url, timeout_s, token, streams)
        self._admin = transport.Admin(url, timeout_s, token)
        self._chat: bool | None = None

    async def ready(self) -> bool:
        """See the port."""
        return await self._admin.healthy()

    async def base(self) -> ServedModel:
        """See the port."""
        info = (await self._admin.get("/info")).checked()
        self._chat = info["chat_template"]
        return ServedModel(info["model_id"], info["model_sha"])

    async def adapters(self) -> frozenset[str]:
        """See the port."""
        return frozenset(await self._admin.adapters())

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """See the port."""
        if self._chat is None:
            await self.base()
        if self._chat:
            return await self._hub.chat(prompt, decoding, seed, adapter, BASE)
        return await self._hub.text(prompt, decoding, seed, adapter)

    async def load(self, name: str, path: Path) -> None:
        """See the port."""
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
