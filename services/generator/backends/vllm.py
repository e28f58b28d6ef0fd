"""Backend for vLLM's OpenAI server, started with `--enable-lora` and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 (0.33.0)."""

from typing_extensions import override

from archloop.errors import Unavailable
from services.generator.backends.hot import HotLoading
from services.generator.backends.port import Answer, Decoding, ServedModel


class VllmBackend(HotLoading):
    """Server at the root `url`; `served` is its base model as runs name it, `served_as` as the server does."""

    def __init__(
        self, url: str, served: ServedModel, served_as: str, *, timeout_s: float = 120.0, token: str = ""
    ) -> None:
        super().__init__(url, timeout_s, token, streams=True)
        self._served, self._served_as = served, served_as

    @override
    async def base(self) -> ServedModel:
        """Return the base model. Raises Unavailable where another model is served."""
        names = await self._server.models()
        if self._served_as not in names:
            raise Unavailable(f"the model server serves {', '.join(names)}; expected {self._served_as!r}")
        return self._served

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        return await self._hub.chat(prompt, decoding, seed, adapter, self._served_as)
