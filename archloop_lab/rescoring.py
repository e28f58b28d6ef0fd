"""Networks of a run scored once more, under other protocols than the run's own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from archloop.blobs import programs
from archloop.contracts.values import Evaluation, sha256_of
from archloop.errors import NotFound
from archloop.protocols.model import Protocol
from archloop_lab.run_directory import Records, RunDirectory
from services.evaluator.app import opened_evaluator
from services.evaluator.settings import EvaluatorSettings
from services.registry.records import Candidate, CandidateQuery

Advance = Callable[[str, int, int], None]
Scores = dict[tuple[str, str], Evaluation]


class Network(NamedTuple):
    """A valid candidate: its accuracy under the run's own protocol, its code, and its place, which is cycle/index."""

    name: str
    place: str
    accuracy: float
    code: str

    @property
    def cycle(self) -> int:
        """The cycle that it was written in."""
        return int(self.place.partition("/")[0])


async def networks(directory: Path, *, admitted: bool) -> list[Network]:
    """List the valid candidates of a run, or its architectures only, best first. Raises NotFound for none."""
    run = RunDirectory(directory)
    async with run.opened() as records:
        manifest = await run.agreed(records.store)
        found = (await records.store.candidates(CandidateQuery(run_id=manifest.run_id))).items
        chosen = [c for c in found if c.valid and c.submission is None and (c.admitted or not admitted)]
        result = [await _network(records, candidate) for candidate in chosen]
    if not result:
        raise NotFound("architecture" if admitted else "valid candidate", str(directory))
    return sorted(result, key=lambda network: -network.accuracy)


async def score(
    chosen: Sequence[Network],
    protocols: Sequence[Protocol],
    log: Path,
    advance: Advance,
    settings: EvaluatorSettings | None = None,
) -> Scores:
    """Score each under each, on all slots, but for what the log has already. Raises Unavailable, NotFound."""
    async with opened_evaluator(settings or EvaluatorSettings.load()) as evaluator:
        known = _logged(log, evaluator.secret.id)
        for protocol in protocols:
            missing = [n for n in chosen if (sha256_of(n.code), protocol.sha256) not in known]
            tasks = [asyncio.create_task(evaluator.evaluate(n.code, protocol)) for n in missing]
            for done, task in enumerate(asyncio.as_completed(tasks), 1):
                evaluation = await task
                known[_key(evaluation)] = evaluation
                _append(log, evaluation)
                advance(protocol.name, len(chosen) - len(missing) + done, len(chosen))
    return {(n.name, p.name): known[sha256_of(n.code), p.sha256] for n in chosen for p in protocols}


def accuracies(chosen: Sequence[Network], scores: Mapping[tuple[str, str], Evaluation], protocol: str) -> list[float]:
    """List accuracies in the order of the networks; what is not valid has none, which counts as 0."""
    return [scores[n.name, protocol].accuracy or 0.0 if scores[n.name, protocol].valid else 0.0 for n in chosen]


async def _network(records: Records, candidate: Candidate) -> Network:
    source = await records.store.source(candidate.candidate_id)
    assert source is not None
    assert candidate.evaluation is not None
    place = f"{candidate.cycle}/{candidate.index}"
    code = await programs.text_of(source.code, records.blobs)
    return Network(candidate.candidate_id, place, candidate.evaluation.accuracy or 0.0, code)


def _logged(log: Path, heldout_id: str) -> dict[tuple[str, str], Evaluation]:
    """Read those scored on the same held-out images."""
    if not log.exists():
        return {}
    known = filter(None, map(_evaluation, log.read_bytes().splitlines()))
    return {_key(found): found for found in known if found.heldout_id == heldout_id}


def _evaluation(line: bytes) -> Evaluation | None:
    """Read a line; None of one that was cut off, as by a kill or a full disk: it is done again."""
    try:
        return Evaluation.model_validate_json(line)
    except ValidationError:
        return None


def _append(log: Path, evaluation: Evaluation) -> None:
    """Write on a line of its own, whatever the last one came to."""
    with log.open("ab+") as file:
        cut = file.tell() > 0 and not log.read_bytes().endswith(b"\n")
        file.write(b"\n" * cut + evaluation.model_dump_json().encode() + b"\n")


def _key(evaluation: Evaluation) -> tuple[str, str]:
    return evaluation.code_sha256, evaluation.protocol_sha256
