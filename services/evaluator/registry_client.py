"""Client of the registry's HTTP interface: an evaluator reads code, data and earlier results, each by hash."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Self

import httpx2
from pydantic import SecretStr
from typing_extensions import override

from archloop.blobs.port import Readable, verified
from archloop.contracts.values import BlobRef, Evaluation
from archloop.errors import Misconfigured, NotFound, Unavailable
from archloop.ops import web
from services.evaluator.handlers import Results

_TIMEOUT_S = 30.0
_REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class RegistryReader(Readable, Results):
    """Blobs and earlier results from the registry.

    Every method raises Unavailable, and Misconfigured where the token is refused.
    """

    def __init__(self, client: httpx2.AsyncClient, setting: str) -> None:
        self._client, self._setting = client, setting

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, token: SecretStr | None, setting: str = "ARCHLOOP_EVALUATOR_REGISTRY"
    ) -> AsyncIterator[Self]:
        """Connect to the registry.

        `setting` is the prefix of the settings' names, for error messages. Raises InvalidInput for an invalid URL.
        """
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        async with web.client(url, f"{setting}_URL", headers=headers, timeout=_TIMEOUT_S) as client:
            yield cls(client, setting)

    @override
    async def get(self, ref: BlobRef) -> bytes:
        found = await self._get(f"/blobs/{ref.key}", sha256=ref.sha256)
        if found is None:
            raise NotFound("blob", ref.key)
        return verified(found, ref)

    @override
    async def evaluation(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        found = await self._get("/evaluations", code_sha256=code_sha256, protocol_sha256=protocol_sha256)
        return None if found is None else Evaluation.model_validate_json(found)

    async def ping(self) -> None:
        """Return if the registry answers and accepts the token."""
        await self._get("/blobs/code/ping", sha256="0" * 64)

    async def _get(self, path: str, **query: str) -> bytes | None:
        """Return the body of the answer; None for status 404."""
        try:
            response = await self._client.get(path, params=query)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._away(repr(error)) from error
        if response.status_code in _REFUSALS:
            raise Misconfigured(f"{self._setting}_TOKEN", f"the registry at {web.address_of(self._client)} refuses it")
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not response.is_success:
            raise self._away(f"answers {response.status_code} for {path}")
        return response.content

    def _away(self, problem: str) -> Unavailable:
        return Unavailable(f"{self._setting}_URL: registry at {web.address_of(self._client)}: {problem}")
