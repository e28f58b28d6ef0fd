"""The frozen run beside a report: its summary, and its candidates where they are at hand."""

from pathlib import Path
from typing import Any

from archloop.errors import IntegrityError
from archloop_cli import outputs
from archloop_cli.embedded import REGISTRY_FILE
from archloop_cli.report import Beside
from services.registry.records import CandidateQuery
from services.registry.sqlite import SqliteStore


async def read(directory: Path) -> Beside:
    """Of a run's directory, made here or at a deployment. Raises NotFound where it has no summary."""
    path = directory / "summary.json"
    summary = outputs.read_json(path)
    if not isinstance(summary.get("run_id"), str) or not isinstance(summary.get("cycles"), list):
        raise IntegrityError(f"{path} is no summary of a run")
    return Beside(summary, await _candidates(directory, summary["run_id"]))


async def _candidates(directory: Path, run_id: str) -> list[dict[str, Any]]:
    if (directory / REGISTRY_FILE).is_file():
        store = SqliteStore(directory / REGISTRY_FILE)
        try:
            page = await store.candidates(CandidateQuery(run_id=run_id))
        finally:
            await store.close()
        return [candidate.model_dump(mode="json") for candidate in page.items]
    listed = directory / "candidates.json"
    return outputs.read_json(listed, list) if listed.is_file() else []
