"""Judgement in index order, whatever the order of arrival (ADR 2).

Every outcome of a candidate is recorded: valid, failed or lost. Each arrival then releases the candidates of its cycle
for which every lower index has arrived.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

import structlog

from archloop import telemetry
from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.contracts.messages import CandidateEvaluatedOk, CandidateJudged, CandidateLost, JudgementRejected
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.values import sha256_of
from services.novelty.constants import Sizes
from services.novelty.features import Features, as_text, features
from services.novelty.identity import Heard, Identity, name_of_run, run_of
from services.novelty.index import NoveltyIndex
from services.novelty.judge import check_and_insert
from services.novelty.store import Arrival, SignatureStore

log = structlog.get_logger(__name__)


class NoveltyHandler:
    """Turns arrivals into verdicts. Each message is one transaction: verdicts are durable before they are published."""

    def __init__(self, store: SignatureStore, blobs: Blobs, *, k: int, permutations: int, sizes: Sizes) -> None:
        self._store, self._blobs = store, blobs
        self._k, self._permutations, self._sizes = k, permutations, sizes
        self._index = NoveltyIndex(store, permutations)

    async def handle(self, message: Heard) -> Sequence[CandidateJudged]:
        """Return the verdicts that this message released; the same ones when it comes again."""
        arrival = _arrival(message, await self._features(message))
        judged = len(self._index)
        try:
            with telemetry.span("compare"), self._store.transaction():
                if self._store.record(arrival, unless=str(Identity.lost(message))):
                    self._release(arrival)
                return self._store.released_by(arrival.candidate)
        except BaseException:
            # What was rolled back in the store must not stay in the index.
            self._index.truncate(judged)
            raise

    async def _features(self, message: Heard) -> Features | None:
        if not isinstance(message, CandidateEvaluatedOk):
            return None
        source = await programs.text_of(message.code, self._blobs)
        return await asyncio.to_thread(self._described, source)  # off the event loop, which has heartbeats to send

    def _described(self, source: str) -> Features:
        """Describe a source; one that cannot be read counts as its text, for its cycle waits for a verdict."""
        try:
            return features(source, k=self._k, permutations=self._permutations, sizes=self._sizes)
        except Exception:  # UnreadableSource, and what nobody thought of
            log.exception("a valid candidate cannot be read; it counts as written", code_sha256=sha256_of(source))
            return as_text(source, k=self._k, permutations=self._permutations)

    def _release(self, arrival: Arrival) -> None:
        """Judge a submission at once; for any other candidate, judge all that its cycle no longer waits for."""
        self._index.catch_up()
        if arrival.submission is not None:
            self._settle(arrival, arrival)
            return
        while (following := self._store.at_mark(arrival.run_id, arrival.cycle)) is not None:
            self._settle(following, arrival)

    def _settle(self, arrival: Arrival, last: Arrival) -> None:
        judged = None if arrival.features is None else self._judge(arrival, arrival.features)
        self._store.settle(arrival.candidate, released_by=last.candidate, judged=judged)

    def _judge(self, arrival: Arrival, described: Features) -> CandidateJudged:
        run_id = arrival.run_id if arrival.scope == "run" else None
        judgement = check_and_insert(self._index, arrival.entry, threshold=arrival.threshold, run_id=run_id)
        known = Identity.read(arrival.candidate)
        log.info(
            "judged", verdict=judgement.verdict, similarity=round(judgement.similarity, 4), candidate=known.candidate_id
        )
        return CandidateJudged(
            **run_of(arrival.run_id),
            cycle=arrival.cycle,
            index=arrival.index,
            submission=arrival.submission,
            threshold=arrival.threshold,
            family=described.family,
            verdict=judgement.verdict,
            nearest=judgement.nearest and Identity.read(judgement.nearest).candidate_id,
            similarity=judgement.similarity,
            code_sha256=known.code_sha256,
        )


def rejected(message: Heard, reason: str) -> JudgementRejected:
    """Make the answer for a candidate that cannot be judged."""
    return JudgementRejected(**message.about(), reason=reason)


def _arrival(message: Heard, described: Features | None) -> Arrival:
    spec = NoveltySpec() if isinstance(message, CandidateLost) else message.novelty
    evaluation = message.evaluation if isinstance(message, CandidateEvaluatedOk) else None
    scope: Literal["run", "global"] = spec.scope if message.submission is None else "global"
    return Arrival(
        candidate=str(Identity.of(message)),
        run_id=name_of_run(message),
        cycle=message.cycle,
        index=message.index,
        submission=message.submission,
        scope=scope,
        threshold=spec.threshold,
        features=described,
        graph_sha256=evaluation.graph_sha256 if evaluation else None,
        protocol_sha256=evaluation.protocol_sha256 if evaluation else "",
    )
