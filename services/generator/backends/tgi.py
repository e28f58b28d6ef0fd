"""One process of text-generation-inference (3.3.7), whose adapters are those that it was started with."""

from collections.abc import Collection
from pathlib import Path

from archloop.errors import Unavailable
from services.generator import transport
from services.generator.backends.hub import Hub
from services.generator.backends.port import Answer, Decoding, ServedModel
from services.generator.errors import AdapterMissing

_BASE = "tgi"


class TgiBackend:
    """The server at the root `url`. For an adapter that it does not have it would answer as the base, so nobody asks.

    `served` is its base model as runs name it, `served_as` as the server does. `loaded` names the adapters in its
    LORA_ADAPTERS: it has no route that tells. `chat` asks by the chat route, for a model that was tuned on turns.
    """

    def __init__(
        self,
        url: str,
        served: ServedModel,
        served_as: str,
        *,
        loaded: Collection[str] = (),
        chat: bool = False,
        timeout_s: float = 120.0,
        token: str = "",
    ) -> None:
        self._hub = Hub(url, timeout_s, token, streams=True)
        self._admin = transport.Admin(url, timeout_s, token)
        self._served, self._served_as, self._chat = served, served_as, chat
        self._loaded = set(loaded)

    async def ready(self) -> bool:
        """See the port."""
        return await self._admin.healthy()

    async def base(self) -> ServedModel:
        """See the port. Raises Unavailable where another model is served."""
        info = (await self._admin.get("/info")).checked()
        if info["model_id"] != self._served_as:
            raise Unavailable(f"the model server serves {info['model_id']!r}; expected {self._served_as!r}")
        return self._served

    async def adapters(self) -> frozenset[str]:
        """See the port. Raises Unavailable where the server does not answer."""
        await self.base()
        return frozenset(self._loaded)

    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """See the port."""
        if adapter is not None and adapter not in self._loaded:
            raise AdapterMissing(f"the model server was started without adapter {adapter!r}")
        if self._chat:
            return await self._hub.chat(prompt, decoding, seed, adapter, _BASE)
        return await self._hub.text(prompt, decoding, seed, adapter)

    async def load(self, name: str, path: Path) -> None:
        """See the port. Raises Unavailable for one that it was not started with."""
        if name not in self._loaded:
            raise Unavailable(f"TGI loads adapters at its start only, and was started without {name!r} ({path})")

    async def adopt(self, name: str) -> None:
        """See the port. Nothing is kept beside this process here."""

    async def unload(self, name: str) -> None:
        """See the port. It stays in the process' memory."""
        self._loaded.discard(name)

    async def close(self) -> None:
        """See the port."""
        await self._hub.close()
        await self._admin.close()
