"""vLLM's OpenAI server, started with `--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 (vLLM 0.33.0)."""

from pathlib import Path

from archloop.errors import Unavailable
from services.generator import transport
from services.generator.backends.hub import Hub
from services.generator.backends.port import Answer, Decoding, ServedModel


class VllmBackend:
    """One server at the root `url`; `served` is its base model as runs name it, `served_as` as the server does."""

    def __init__(
        self, url: str, served: ServedModel, served_as: str, *, timeout_s: float = 120.0, token: str = ""
    ) -> None:
        self._hub = Hub(url, timeout_s, token, streams=True)
        self._admin = transport.Admin(url, timeout_s, token)
        self._served, self._served_as = served, served_as

    async def ready(self) -> bool:
        """See the port."""
        return await self._admin.healthy()

    async def base(self) -> ServedModel:
        """See the port. Raises Unavailable where another model is served."""
        names = await self._admin.models()
        if self._served_as not in names:
            raise Unavailable(f"the model server serves {', '.join(names)}; expected {self._served_as!r}")
        return self._served

    async def adapters(self) -> frozenset[str]:
        """See the port."""
        return frozenset(await self._admin.adapters())

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """See the port."""
        return await self._hub.chat(prompt, decoding, seed, adapter, self._served_as)

    async def load(self, name: str, path: Path) -> None:
        """See the port. It reads `path` itself, so the folder must be at the same place there."""
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
