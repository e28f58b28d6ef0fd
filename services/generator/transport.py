"""Model servers over HTTP: routes that huggingface_hub's client lacks, and the connection beneath that client."""

import json
import ssl
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from huggingface_hub import AsyncInferenceClient

from archloop.errors import InvalidInput, Unavailable
from archloop.ops import web

TransportError = httpx2.HTTPError
# A body that was not read is no HTTPError there.
ERRORS = (httpx2.HTTPError, httpx2.StreamError)
SETTING = "URL of the model server"
_REFUSALS = frozenset({400, 404, 409, 413, 422})


class Reply(NamedTuple):
    """Status and body of an answer."""

    status: int
    text: str

    @property
    def refused(self) -> bool:
        """Whether the server refuses for good; a wrong token or a missing route may yet be mended."""
        return self.status in _REFUSALS and not self.no_route

    @property
    def no_route(self) -> bool:
        """Whether this is FastAPI's answer where it has no such route."""
        return self.status == httpx2.codes.NOT_FOUND and self.text.replace(" ", "") == '{"detail":"NotFound"}'

    def checked(self) -> Any:
        """Return the JSON, or the text, of a good answer. Raises Unavailable."""
        if not httpx2.codes.is_success(self.status):
            raise Unavailable(f"the server answers {self.status}: {self.text[:200]}")
        return json.loads(self.text) if self.text.startswith("{") else self.text


class Inference(AsyncInferenceClient):
    """The client of huggingface_hub for a server that is not the hub, free of the hub's offline mode and tokens.

    Its own session (2.4.0) refuses every address where HF_HUB_OFFLINE is set, and obeys proxies everywhere.
    """

    def __init__(self, url: str, token: str, timeout_s: float) -> None:
        # an explicit key keeps a token that is saved on the machine from being sent
        super().__init__(base_url=url, api_key=token or "none", timeout=timeout_s)
        self._url = url

    async def _get_async_client(self) -> httpx2.AsyncClient:
        if self._async_client is None:
            session = web.client(self._url, SETTING, timeout=None, follow_redirects=True, event_hooks=_HOOKS)
            self._async_client = await self.exit_stack.enter_async_context(session)
        return self._async_client


async def _read_refusal(response: httpx2.Response) -> None:
    """Read the body of an error, which is not read by itself for a stream."""
    if response.is_error:
        await response.aread()


_HOOKS = {"response": [_read_refusal]}


class ServerClient:
    """Client of TGI's, our model server's and Kubernetes' JSON routes. Every verb but `healthy` raises Unavailable."""

    def __init__(self, url: str, timeout_s: float, token: str = "", ca: Path | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        verify = ssl.create_default_context(cafile=ca) if ca else None
        self._client = web.client(url, SETTING, timeout=timeout_s, headers=headers, verify=verify)

    async def healthy(self) -> bool:
        """Return whether the server says that it is healthy."""
        try:
            return (await self._client.get("/health")).is_success
        except TransportError:
            return False

    async def get(self, path: str) -> Reply:
        """Send a GET request."""
        return await self._request("GET", path, None)

    async def post(self, path: str, body: dict[str, Any]) -> Reply:
        """Send a POST request with a JSON body."""
        return await self._request("POST", path, body)

    async def delete(self, path: str) -> Reply:
        """Send a DELETE request."""
        return await self._request("DELETE", path, None)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, body: dict[str, Any] | None) -> Reply:
        try:
            response = await self._client.request(method, path, json=body)
        except TransportError as error:
            raise Unavailable(f"no answer from the server at {path}: {error!r}") from error
        return Reply(response.status_code, response.text)


class VllmClient(ServerClient):
    """Client of the routes by which vLLM, and our model server, list, load and unload adapters."""

    async def models(self) -> list[str]:
        """Return the names of the base model that the server serves."""
        return [model["id"] for model in await self._cards() if not model.get("parent")]

    async def adapters(self) -> list[str]:
        """Return the adapters that the server has loaded."""
        return [model["id"] for model in await self._cards() if model.get("parent")]

    async def load_adapter(self, name: str, path: Path) -> None:
        """Load an adapter. Raises InvalidInput."""
        reply = await self.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path.resolve())})
        if reply.no_route:
            raise Unavailable("the model server takes no adapters; vLLM needs VLLM_ALLOW_RUNTIME_LORA_UPDATING=1")
        if reply.refused and not await self._has(name):  # another replica may have been faster
            raise InvalidInput("adapter", name, f"what the model server takes; it says: {reply.text}")
        if not reply.refused:
            reply.checked()

    async def unload_adapter(self, name: str) -> None:
        """Unload an adapter; one that is not loaded is no error."""
        reply = await self.post("/v1/unload_lora_adapter", {"lora_name": name})
        if reply.status != httpx2.codes.NOT_FOUND:
            reply.checked()

    async def _has(self, name: str) -> bool:
        try:
            return name in await self.adapters()
        except Unavailable:
            return False

    async def _cards(self) -> list[dict[str, Any]]:
        cards: list[dict[str, Any]] = (await self.get("/v1/models")).checked()["data"]
        return cards
