"""A registry to look at and to steer by: a run's directory, or a deployment's over its API."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import SecretStr
from typing_extensions import override

from archloop.blobs import programs
from archloop.contracts.acts import Act
from archloop.contracts.envelope import Envelope
from archloop.errors import NotFound
from archloop_lab.remote_registry import RemoteRegistry
from archloop_lab.run_directory import Records, RunDirectory
from services.registry import acting
from services.registry.acts import ActSummary, listed
from services.registry.records import Adapter, Candidate, CandidateQuery, Run
from services.registry.statistics.summary import Summary, summarise

OPERATOR = "operator"


class Registry(Protocol):
    """What is on record of runs, and a way to steer them. All raise NotFound, Unavailable, IntegrityError."""

    async def runs(self) -> Sequence[Run]:
        """Return the runs, latest first."""

    async def told(self, run_id: str) -> Summary:
        """Return what the run came to so far."""

    async def found(self, query: CandidateQuery) -> Sequence[Candidate]:
        """Return candidates."""

    async def candidate(self, candidate_id: str) -> Candidate:
        """Return one candidate."""

    async def code(self, candidate_id: str) -> str:
        """Return a candidate's code."""

    async def adapters(self, run_id: str) -> Sequence[Adapter]:
        """Return the versions of the LLM, in order."""

    async def acts(self, run_id: str) -> Sequence[ActSummary]:
        """Return what was done to the run, in order."""

    async def steer(self, run_id: str, act: Act) -> None:
        """Put an act on record. Raises Conflict, InvalidInput, Refused."""


class DirectoryRegistry(Registry):
    """The registry beside a run; a process that drives the run finds acts in its database."""

    def __init__(self, records: Records) -> None:
        self._store, self._blobs = records

    @override
    async def runs(self) -> Sequence[Run]:
        return (await self._store.runs()).items

    @override
    async def told(self, run_id: str) -> Summary:
        return await summarise(self._store, run_id)

    @override
    async def found(self, query: CandidateQuery) -> Sequence[Candidate]:
        return (await self._store.candidates(query)).items

    @override
    async def candidate(self, candidate_id: str) -> Candidate:
        found = await self._store.candidate(candidate_id)
        if found is None:
            raise NotFound("candidate", candidate_id)
        return found

    @override
    async def code(self, candidate_id: str) -> str:
        source = await self._store.source(candidate_id)
        if source is None:
            raise NotFound("code of candidate", candidate_id)
        return await programs.text_of(source.code, self._blobs)

    @override
    async def adapters(self, run_id: str) -> Sequence[Adapter]:
        return await self._store.adapters(run_id)

    @override
    async def acts(self, run_id: str) -> Sequence[ActSummary]:
        run = await self._store.run(run_id)
        return listed(run.acts if run else (), await self._store.cycles(run_id))

    @override
    async def steer(self, run_id: str, act: Act) -> None:
        code = act.code and await programs.referred(self._blobs, await programs.text_of(act.code, self._blobs))
        own = act.model_copy(update={"who": OPERATOR, "code": code})
        await acting.steer(self._store, _to_nobody, run_id, own)


async def _to_nobody(_: Envelope) -> None:
    """Say nothing: who drives the run looks at its database."""


@asynccontextmanager
async def opened(run: str, url: str | None, token: SecretStr | None) -> AsyncIterator[tuple[Registry, str]]:
    """Open the registry at the URL, or the one beside the run in a directory, and tell the run's name there.

    Raises NotFound, IntegrityError, Unavailable.
    """
    if url is not None:
        async with RemoteRegistry.open(url, token) as registry:
            yield registry, run
        return
    directory = RunDirectory.at(run)
    async with directory.opened() as records:
        found = (await records.store.runs(limit=1)).items
        if not found:
            raise NotFound("run", str(directory.path))
        yield DirectoryRegistry(records), found[0].run_id
