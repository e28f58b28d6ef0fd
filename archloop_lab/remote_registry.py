"""A deployment's registry over its API: ask for a run, read what became of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Self

import httpx2
from pydantic import SecretStr, TypeAdapter

from archloop import sources
from archloop.contracts.spec import BootstrapSpec, RunSpec
from archloop.errors import ArchloopError, NotFound, Unavailable
from archloop.ops import web
from archloop.ops.connecting import patiently
from archloop.training_pairs import TrainingPair
from services.registry.counting import QueueCount
from services.registry.records import Candidate, Page
from services.registry.statistics.summary import Summary

PATIENCE_S = 120.0
_PAGE = 1000


class Refused(ArchloopError):
    """The registry does not do what it is asked: its own words."""

    code = "refused"


class RemoteRegistry:
    """A registry's API. Every verb raises Unavailable after some patience, or Refused with the registry's words."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: SecretStr | None) -> AsyncIterator[Self]:
        """Open a client that connects when first used."""
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        async with web.client(url, "--server", headers=headers, timeout=30) as client:
            yield cls(client)

    async def request(self, run_id: str, spec: RunSpec) -> None:
        """Ask for the run; once more changes nothing."""
        await self._checked("POST", "/runs", json={"run_id": run_id, "spec": spec.model_dump(mode="json")})

    async def keep(self, pairs: Sequence[TrainingPair]) -> BootstrapSpec:
        """Have pairs kept, to begin a run with."""
        body = {"pairs": [pair.model_dump() for pair in pairs]}
        return BootstrapSpec.model_validate_json(await self._checked("POST", "/pairs", json=body))

    async def summary(self, run_id: str) -> Summary | None:
        """Return what the run came to so far; None until it is recorded."""
        try:
            return Summary.model_validate_json(await self._checked("GET", f"/runs/{run_id}/summary"))
        except NotFound:
            return None

    async def candidates(self, run_id: str) -> list[Candidate]:
        """List all candidates, in order."""
        found: list[Candidate] = []
        while True:
            query = {"offset": len(found), "limit": _PAGE}
            page = await self._checked("GET", f"/runs/{run_id}/candidates", params=query)
            items = Page[Candidate].model_validate_json(page).items
            found += items
            if len(items) < _PAGE:
                return found

    async def parked(self) -> int:
        """Count the messages that are set aside."""
        counts = TypeAdapter(list[QueueCount]).validate_json(await self._checked("GET", "/queues"))
        return sum(count.parked or 0 for count in counts)

    async def code(self, candidate_id: str) -> str:
        """Read what was written."""
        return sources.decoded(await self._checked("GET", f"/candidates/{candidate_id}/code"))

    async def _checked(self, method: str, path: str, **options: Any) -> bytes:
        """Ask, and wait for a registry that is away: everything asked of a registry may be asked again."""
        return await patiently(partial(self._once, method, path, **options), PATIENCE_S)

    async def _once(self, method: str, path: str, **options: Any) -> bytes:
        try:
            response = await self._client.request(method, path, **options)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"registry at {web.address_of(self._client)}: {error!r}") from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise NotFound("resource", path)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"registry at {web.address_of(self._client)} answers {response.status_code} for {path}")
        if not response.is_success:
            raise Refused(f"the registry at {web.address_of(self._client)}: {_words(response)}")
        return response.content


def _words(response: httpx2.Response) -> str:
    """Return the detail of a problem (RFC 9457), with the fields that are wrong."""
    try:
        problem = response.json()
        wrong = [
            f"{e['field']}: {e['value']} is not valid; expected {e['expected']}" for e in problem.get("errors", ())
        ]
        return "; ".join([str(problem["detail"]), *wrong])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200]}"
