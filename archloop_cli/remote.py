"""`archloop run --server URL`: ask a deployment for a run and follow it to its end, over the registry's API."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx2
from pydantic import SecretStr, TypeAdapter

from archloop import __version__
from archloop.contracts.spec import BootstrapSpec, RunSpec
from archloop.errors import ArchloopError, NotFound, Unavailable
from archloop.ops import web
from archloop.ops.connecting import patiently
from archloop.training_pairs import TrainingPair
from archloop_cli import terminal
from archloop_cli.progress import Progress, cycle_table
from archloop_cli.runs import refuse_taken
from archloop_cli.settings import CliSettings
from archloop_lab import bootstrap_pairs, folders, lock
from archloop_lab.files import write_json
from archloop_lab.run_directory import RunDirectory
from services.registry.counting import QueueCount
from services.registry.records import Candidate, Page
from services.registry.statistics.summary import Summary

_POLL_S = 1.0
_POLL_SHARE = 9
_PATIENCE_S = 120.0
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
        """Connects when first used."""
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
        """What the run came to so far; None until it is recorded."""
        try:
            return Summary.model_validate_json(await self._checked("GET", f"/runs/{run_id}/summary"))
        except NotFound:
            return None

    async def candidates(self, run_id: str) -> list[Candidate]:
        """All of them, in order."""
        found: list[Candidate] = []
        while True:
            query = {"offset": len(found), "limit": _PAGE}
            page = await self._checked("GET", f"/runs/{run_id}/candidates", params=query)
            items = Page[Candidate].model_validate_json(page).items
            found += items
            if len(items) < _PAGE:
                return found

    async def parked(self) -> int:
        """How many messages are set aside."""
        counts = TypeAdapter(list[QueueCount]).validate_json(await self._checked("GET", "/queues"))
        return sum(count.parked or 0 for count in counts)

    async def code(self, candidate_id: str) -> str:
        """What was written."""
        return (await self._checked("GET", f"/candidates/{candidate_id}/code")).decode()

    async def _checked(self, method: str, path: str, **options: Any) -> bytes:
        """Everything asked of a registry may be asked again, so a registry that is away is waited for."""
        return await patiently(partial(self._once, method, path, **options), _PATIENCE_S)

    async def _once(self, method: str, path: str, **options: Any) -> bytes:
        try:
            response = await self._client.request(method, path, **options)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"registry at {self._client.base_url}: {error!r}") from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise NotFound("resource", path)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"registry at {self._client.base_url} answers {response.status_code} for {path}")
        if not response.is_success:
            raise Refused(f"the registry at {self._client.base_url}: {_words(response)}")
        return response.content


def drive(server: str, run_id: str, spec: RunSpec, directory: Path, pairs: Path | None = None) -> Summary:
    """Ask for the run, show it live until it ends, and leave summary.json and report.html in the directory."""
    refuse_taken(directory)
    found = bootstrap_pairs.read(pairs) if pairs else None
    with folders.begun(directory, unless="summary.json"), lock.held(directory):
        return asyncio.run(_drive(server, run_id, spec, directory, found))


async def _drive(
    server: str, run_id: str, spec: RunSpec, directory: Path, pairs: Sequence[TrainingPair] | None
) -> Summary:
    async with RemoteRegistry.open(server, CliSettings.load().token) as registry:
        if pairs is not None:
            kept = await registry.keep(pairs)
            assert kept.pairs is not None
            spec = bootstrap_pairs.beginning(spec, kept.pairs, kept.count)
        bootstrap_pairs.require(spec)
        await registry.request(run_id, spec)
        terminal.say(f"{run_id}: {spec.cycles} cycles × {spec.candidates} candidates on {spec.protocol}, at {server}")
        summary = await _followed(registry, run_id, Progress(run_id, spec))
        terminal.draw(cycle_table(summary, title=f"{run_id}: {summary.reason}"))
        await _report(registry, summary, directory, server)
    return summary


async def _followed(registry: RemoteRegistry, run_id: str, progress: Progress) -> Summary:
    latest, pause_s = await _recorded(registry, run_id), _POLL_S

    async def read() -> Summary:
        return latest

    async with progress.following(read) as refresh:
        while True:
            await refresh()
            if latest.reason is not None:
                return latest
            await asyncio.sleep(pause_s)
            asked = time.monotonic()
            latest = await _recorded(registry, run_id)
            progress.parked = await registry.parked()
            # Looking must not become the registry's main work, however long a run gets.
            pause_s = max(_POLL_S, _POLL_SHARE * (time.monotonic() - asked))


async def _recorded(registry: RemoteRegistry, run_id: str) -> Summary:
    """The summary, once the request has gone its way over the queue. Raises Unavailable after a while."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while (found := await registry.summary(run_id)) is None:
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise Unavailable(f"run {run_id} was asked for and is not recorded: does the registry consume?") from None
    return found


async def _report(registry: RemoteRegistry, summary: Summary, directory: Path, server: str) -> None:
    from archloop_lab.report import page, view
    from archloop_lab.summary import AnalysedSummary

    run = RunDirectory(directory)
    candidates = await registry.candidates(summary.run_id)
    codes = {name: await registry.code(name) for name in view.showcase(candidates)}
    manifest = {"schema_version": 1, "run_id": summary.run_id, "archloop": __version__, "server": server}
    write_json(run.summary_file, summary.model_dump(mode="json"))
    write_json(directory / "candidates.json", [candidate.model_dump(mode="json") for candidate in candidates])
    page.write(AnalysedSummary.of(summary, {}), candidates, directory / "report.html", codes=codes, manifest=manifest)


def _words(response: httpx2.Response) -> str:
    """The detail of a problem (RFC 9457), with the fields that are wrong."""
    try:
        problem = response.json()
        wrong = [
            f"{e['field']}: {e['value']} is not valid; expected {e['expected']}" for e in problem.get("errors", ())
        ]
        return "; ".join([str(problem["detail"]), *wrong])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200]}"
