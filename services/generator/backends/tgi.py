"""Backend for one process of text-generation-inference (3.3.7), whose adapters are those that it was started with."""

from collections.abc import Collection
from pathlib import Path

from typing_extensions import override

from archloop.errors import Unavailable
from services.generator import transport
from services.generator.backends.hub import Hub
from services.generator.backends.port import Answer, Backend, Decoding, ServedModel
from services.generator.errors import AdapterMissing, Unguided

_BASE = "tgi"


class TgiBackend(Backend):
    """TGI at the root `url`; it is not asked for an adapter that it lacks, since it would answer as the base.

    `served` is its base model as runs name it, `served_as` as the server does. `loaded` names the adapters in its
    LORA_ADAPTERS, which no route tells. `chat` asks by the chat route, for a model that was tuned on turns.
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
        self._server = transport.ServerClient(url, timeout_s, token)
        self._served, self._served_as, self._chat = served, served_as, chat
        self._loaded = set(loaded)

    @override
    async def ready(self) -> bool:
        return await self._server.healthy()

    @override
    async def base(self) -> ServedModel:
        """Return the base model. Raises Unavailable where another model is served."""
        info = (await self._server.get("/info")).checked()
        if info["model_id"] != self._served_as:
            raise Unavailable(f"the model server serves {info['model_id']!r}; expected {self._served_as!r}")
        return self._served

    @override
    async def adapters(self) -> frozenset[str]:
        """Return the adapters that it was started with. Raises Unavailable where the server does not answer."""
        await self.base()
        return frozenset(self._loaded)

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        if adapter is not None and adapter not in self._loaded:
            raise AdapterMissing(f"the model server was started without adapter {adapter!r}")
        if decoding.grammar is not None:
            raise Unguided("generation.guided", True, "false: no grammar of TGI keeps an edit to lines of its parent")
        if self._chat:
            return await self._hub.chat(prompt, decoding, seed, adapter, _BASE)
        return await self._hub.text(prompt, decoding, seed, adapter)

    @override
    async def load(self, name: str, path: Path) -> None:
        """Raise Unavailable for an adapter that the process was not started with."""
        if name not in self._loaded:
            raise Unavailable(f"TGI loads adapters at its start only, and was started without {name!r} ({path})")

    @override
    async def adopt(self, name: str) -> None:
        """Do nothing, as nothing is kept beside this process."""

    @override
    async def unload(self, name: str) -> None:
        """Forget the adapter, which stays in the process' memory."""
        self._loaded.discard(name)

    @override
    async def close(self) -> None:
        await self._hub.close()
        await self._server.close()
