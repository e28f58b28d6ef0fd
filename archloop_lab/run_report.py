"""Writes what a run leaves for people: summary.json, and the report with its tables."""

from collections.abc import Sequence
from contextlib import suppress

from pydantic import ValidationError

from archloop import __version__
from archloop.blobs import programs
from archloop.contracts.adapter import AdapterManifest
from archloop.errors import IntegrityError, NotFound
from archloop_lab import analysis, files, remembered, steered
from archloop_lab.remote_registry import RemoteRegistry
from archloop_lab.report import page, view
from archloop_lab.report.versions import Training
from archloop_lab.run_directory import Records, RunDirectory
from archloop_lab.summary import AnalysedSummary
from services.registry.records import CandidateQuery
from services.registry.statistics.summary import Summary, summarise
from services.registry.statistics.trainings import Compared, compared


async def write(directory: RunDirectory, control: RunDirectory | None = None) -> Summary:
    """Write both from what is recorded, finished or not, beside a frozen run where `control` is one.

    Raises NotFound, IntegrityError, Unavailable.
    """
    async with directory.opened() as records:
        run_id, *_ = await directory.agreed(records.store)
        await steered.keep(directory, records, run_id)
        content = directory.manifest().content
        summary = await summarise(records.store, run_id)
        found = (await records.store.candidates(CandidateQuery(run_id=run_id))).items
        candidates = [candidate for candidate in found if candidate.submission is None]
        codes = await _codes(records, view.showcase(candidates))
        trainings = await _trainings(records, run_id)
        analysed = await analysis.of_run(records.store, records.blobs, run_id)
        answers = await compared(records.store, records.blobs, run_id)
        memory = await remembered.of_run(records.store, records.blobs, run_id)
    beside = await control.control() if control else None
    cycles = {n: each.model_copy(update=_counted(answers.get(n))) for n, each in analysed.cycles.items()}
    told = AnalysedSummary.of(summary, cycles, directory.confirmation())
    files.write_json(directory.summary_file, told.model_dump(mode="json"))
    page.write(
        told,
        candidates,
        directory.report_file,
        codes=codes,
        manifest=content,
        control=beside,
        trainings=trainings,
        memorized=analysed.nearest,
        memory=memory,
    )
    return summary


async def write_remote(registry: RemoteRegistry, summary: Summary, directory: RunDirectory, server: str) -> None:
    """Write both, and candidates.json, of a run at a deployment. Raises Unavailable, Refused."""
    candidates = await registry.candidates(summary.run_id)
    codes = {name: await registry.code(name) for name in view.showcase(candidates)}
    manifest = {"schema_version": 1, "run_id": summary.run_id, "archloop": __version__, "server": server}
    files.write_json(directory.summary_file, summary.model_dump(mode="json"))
    files.write_json(directory.candidates_file, [candidate.model_dump(mode="json") for candidate in candidates])
    told = AnalysedSummary.of(summary, {})
    page.write(told, candidates, directory.report_file, codes=codes, manifest=manifest)


def _counted(found: Compared | None) -> dict[str, int]:
    return found._asdict() if found else {}


async def _codes(records: Records, candidate_ids: Sequence[str]) -> dict[str, str]:
    sources = {name: await records.store.source(name) for name in candidate_ids}
    return {
        name: await programs.text_of(source.code, records.blobs)
        for name, source in sources.items()
        if source is not None
    }


async def _trainings(records: Records, run_id: str) -> dict[int, Training]:
    """Read from the adapters' manifests how each came about; a damaged one says nothing."""
    found = {}
    for adapter in await records.store.adapters(run_id):
        with suppress(NotFound, IntegrityError, ValidationError):
            told = AdapterManifest.model_validate_json(await records.blobs.get(adapter.adapter.manifest))
            found[adapter.cycle] = Training(told.steps, told.loss_curve, told.token_curve, adapter.seconds)
    return found
