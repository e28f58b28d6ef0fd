"""A deployment's registry over its API: ask for a run, read what became of it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Self

import httpx2
from pydantic import SecretStr, TypeAdapter

from archloop import sources
from archloop.contracts.acts import Act
from archloop.contracts.spec import BootstrapSpec, RunSpec
from archloop.errors import ArchloopError, NotFound, Unavailable
from archloop.ops import web
from archloop.ops.connecting import patiently
from archloop.ops.presence import Presence
from archloop.training_pairs import TrainingPair
from services.registry.acts import ActSummary
from services.registry.counting import QueueCount
from services.registry.records import Adapter, Candidate, CandidateQuery, Page, Run
from services.registry.statistics.summary import Summary

PATIENCE_S = 120.0
_PAGE = 1000
_ADAPTERS, _ACTS = TypeAdapter(list[Adapter]), TypeAdapter(list[ActSummary])
_COUNTS, _PRESENT = TypeAdapter(list[QueueCount]), TypeAdapter(list[Presence])


class Refused(ArchloopError):
    """The registry does not do what it is asked: its own words."""

    code = "refused"


class RemoteRegistry:
    """A registry's API. Every verb raises Unavailable after some patience, or Refused with the registry's words."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, token: SecretStr | None, setting: str = "--registry") -> AsyncIterator[Self]:
        """Open a client that connects when first used. The `setting` named the URL."""
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        async with web.client(url, setting, headers=headers, timeout=30) as client:
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

    async def runs(self) -> list[Run]:
        """Return the runs, latest first."""
        found: list[Run] = []
        while True:
            answer = await self._checked("GET", "/runs", params={"offset": len(found), "limit": _PAGE})
            items = Page[Run].model_validate_json(answer).items
            found += items
            if len(items) < _PAGE:
                return found

    async def told(self, run_id: str) -> Summary:
        """Return what the run came to so far. Raises NotFound."""
        if (found := await self.summary(run_id)) is None:
            raise NotFound("run", run_id)
        return found

    async def found(self, query: CandidateQuery) -> list[Candidate]:
        """Return candidates, as many as the query wants."""
        asked = query.model_dump(mode="json", exclude_none=True, exclude={"run_id", "offset", "limit"})
        found: list[Candidate] = []
        while query.limit is None or len(found) < query.limit:
            limit = _PAGE if query.limit is None else min(_PAGE, query.limit - len(found))
            window = {**asked, "offset": query.offset + len(found), "limit": limit}
            answer = await self._checked("GET", f"/runs/{query.run_id}/candidates", params=window)
            items = Page[Candidate].model_validate_json(answer).items
            found += items
            if len(items) < limit:
                break
        return found

    async def candidate(self, candidate_id: str) -> Candidate:
        """Return one candidate. Raises NotFound."""
        return Candidate.model_validate_json(await self._checked("GET", f"/candidates/{candidate_id}"))

    async def adapters(self, run_id: str) -> list[Adapter]:
        """Return the versions of the LLM, in order."""
        return _ADAPTERS.validate_json(await self._checked("GET", "/adapters", params={"run_id": run_id}))

    async def acts(self, run_id: str) -> list[ActSummary]:
        """Return what was done to the run, in order."""
        return _ACTS.validate_json(await self._checked("GET", f"/runs/{run_id}/acts"))

    async def queues(self) -> list[QueueCount]:
        """Return how many messages wait and are set aside."""
        return _COUNTS.validate_json(await self._checked("GET", "/queues"))

    async def services(self) -> list[Presence]:
        """Return the processes that are there."""
        return _PRESENT.validate_json(await self._checked("GET", "/services"))

    async def steer(self, run_id: str, act: Act) -> None:
        """Have an act put on record. Raises NotFound, Refused."""
        method, path, body = _request(act)
        comment = {"comment": act.comment} if act.comment else {}
        await self._checked(method, f"/runs/{run_id}/{path}", json=body, params=comment)

    async def parked(self) -> int:
        """Count the messages that are set aside."""
        return sum(count.parked or 0 for count in await self.queues())

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


def _request(act: Act) -> tuple[str, str, dict[str, Any] | None]:
    """Return how the API is asked for an act: method, path below the run, body."""
    exemplar = f"exemplars/{act.candidate}"
    match act.verb:
        case "change":
            assert act.changes is not None
            return "POST", "changes", act.changes.model_dump(mode="json")
        case "pin" | "ban":
            return "PUT", exemplar, {"state": "pinned" if act.verb == "pin" else "banned"}
        case "release":
            return "DELETE", exemplar, None
        case "submit":
            assert act.code is not None
            return "POST", "candidates", {"code": act.code.text}
        case "revert":
            return "POST", "revert", {"adapter": act.adapter}
    return "POST", act.verb, None


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
