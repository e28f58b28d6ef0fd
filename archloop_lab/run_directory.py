"""A run's directory: where its files are, and the one place that opens what is recorded in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from archloop.blobs.directory import DirectoryBlobs
from archloop.errors import IntegrityError, NotFound
from archloop_lab import files, manifests
from archloop_lab.confirmation import Confirmation
from archloop_lab.manifests import Manifest
from archloop_lab.report.view import Control
from archloop_lab.summary import AnalysedSummary
from services.registry.records import UNDER_WAY, Candidate, CandidateQuery
from services.registry.stores.port import Store
from services.registry.stores.sqlite import SqliteStore


class Records(NamedTuple):
    """What a run has on record: rows in the store, code and data as blobs."""

    store: Store
    blobs: DirectoryBlobs


@dataclass(frozen=True)
class RunDirectory:
    """The directory at `path`, whether or not there is a run in it."""

    path: Path

    @classmethod
    def at(cls, path: str) -> Self:
        """Return the directory of a run that has a registry. Raises NotFound, where a registry's URL might be meant."""
        found = cls(Path(path))
        if not found.registry_file.is_file():
            raise NotFound("run directory (one with a registry.sqlite; --registry URL is for a run there)", path)
        return found

    @property
    def manifest_file(self) -> Path:
        """What the run was asked to be."""
        return self.path / "manifest.json"

    @property
    def summary_file(self) -> Path:
        """What the run came to, written at its end."""
        return self.path / "summary.json"

    @property
    def candidates_file(self) -> Path:
        """The candidates of a run at a deployment, whose registry is not at hand."""
        return self.path / "candidates.json"

    @property
    def confirmation_file(self) -> Path:
        """What the best came to on other seeds, where they were trained on any."""
        return self.path / "confirmation.json"

    @property
    def registry_file(self) -> Path:
        """The registry's database."""
        return self.path / "registry.sqlite"

    @property
    def report_file(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def log_file(self) -> Path:
        """The log, as JSON lines."""
        return self.path / "log.jsonl"

    @property
    def blobs(self) -> DirectoryBlobs:
        """Code, pairs and adapters."""
        return DirectoryBlobs(self.path / "blobs")

    @property
    def ended(self) -> bool:
        """Whether the run came to its end, and said so. Raises IntegrityError."""
        return self.summary_file.exists() and self.summary().status not in UNDER_WAY

    def manifest(self) -> Manifest:
        """Read the manifest. Raises NotFound, and IntegrityError that names it where it is not whole."""
        if not self.manifest_file.is_file():
            raise NotFound("run directory (one with a manifest.json)", str(self.path))
        return manifests.read(self.manifest_file)

    def summary(self) -> AnalysedSummary:
        """Read the summary. Raises NotFound, IntegrityError."""
        return files.read_model(self.summary_file, AnalysedSummary)

    def confirmation(self) -> Confirmation | None:
        """Read what was confirmed, if anything was. Raises IntegrityError."""
        path = self.confirmation_file
        return files.read_model(path, Confirmation) if path.is_file() else None

    def store(self) -> SqliteStore:
        """Open the registry's database; whoever does closes it. Raises IntegrityError, Unavailable."""
        return SqliteStore(self.registry_file)

    @asynccontextmanager
    async def rows(self) -> AsyncIterator[Store]:
        """Open the store alone, for as long as the block lasts. Raises IntegrityError, Unavailable."""
        store = self.store()
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Records]:
        """Open the store and the blobs, for as long as the block lasts. Raises IntegrityError, Unavailable."""
        async with self.rows() as store:
            yield Records(store, self.blobs)

    async def agreed(self, store: Store) -> Manifest:
        """Hold the manifest against what the registry beside it recorded. Raises NotFound, IntegrityError."""
        manifest = self.manifest()
        recorded = await store.run(manifest.run_id)
        others = [] if recorded is not None else (await store.runs(limit=1)).items
        if others:
            raise IntegrityError(
                f"{self.manifest_file} names run {manifest.run_id}, the registry beside it {others[0].run_id}"
            )
        if recorded is not None and recorded.spec != manifest.spec:
            then, now = recorded.spec.model_dump(), manifest.spec.model_dump()
            field = next(key for key, value in then.items() if value != now[key])
            raise IntegrityError(
                f"{self.manifest_file}: {field} is not what the registry beside it recorded: {manifests.AGAIN}"
            )
        return manifest

    async def candidates(self, run_id: str | None = None) -> tuple[Candidate, ...]:
        """Read all candidates, of one run or of all."""
        async with self.rows() as store:
            return (await store.candidates(CandidateQuery(run_id=run_id))).items

    async def control(self) -> Control:
        """Read it as the frozen run beside a report, made here or at a deployment.

        Its candidates are left out where they are not at hand. Raises NotFound, IntegrityError.
        """
        summary = self.summary()
        if self.registry_file.is_file():
            return Control(summary, await self.candidates(summary.run_id))
        listed = self.candidates_file
        return Control(summary, files.read_model(listed, list[Candidate]) if listed.is_file() else [])
