"""Backend for our own server. It answers 404 for an unknown adapter, where TGI serves the base model."""

from typing_extensions import override

from services.generator.backends.hot import HotLoading
from services.generator.backends.port import Answer, Decoding, ServedModel

BASE = "tgi"


class CpuBackend(HotLoading):
    """Our own server at the root `url`. A model that has a chat template is asked by the chat route."""

    def __init__(self, url: str, *, timeout_s: float = 120.0, token: str = "", streams: bool = False) -> None:
        super().__init__(url, timeout_s, token, streams=streams)
        self._chat: bool | None = None

    @override
    async def base(self) -> ServedModel:
        info = (await self._server.get("/info")).checked()
        self._chat = info["chat_template"]
        return ServedModel(info["model_id"], info["model_sha"])

    @override
    async def generate(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        if self._chat is None:
            await self.base()
        if self._chat:
            return await self._hub.chat(prompt, decoding, seed, adapter, BASE)
        return await self._hub.text(prompt, decoding, seed, adapter)
