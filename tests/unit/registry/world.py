"""The loop in miniature: the real registry amid fakes of the other services, every delivery in the test's hand."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.acts import Act
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import (
    AdapterTrained,
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    CandidateLost,
    GenerationRequested,
    RunRequested,
    RunSteered,
    TrainingRequested,
)
from archloop.contracts.spec import RunSpec
from archloop.contracts.topology import QUEUES
from archloop.contracts.values import AdapterRef, BlobRef, Evaluation, SourceCode, Usage, Verdict
from services.registry import acting
from services.registry.control.controller import Controller, Patience
from services.registry.handlers import RegistryHandler
from services.registry.stores.sqlite import SqliteStore

RUN = "run-1"
PATIENCE = Patience(answer_s=100.0, training_s=1000.0, echo_s=10.0, asks=3)


def spec(**changes: object) -> RunSpec:
    selection = {"threshold": 0.5, "fallback_threshold": 0.3, "minimum": 2, "quota": 2, "replay": 3}
    return RunSpec.model_validate(
        {"cycles": 3, "candidates": 6, "seed": 1, "protocol": "digits", "selection": selection} | changes
    )


def number(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4])


def evaluation(code: str, protocol: str = "digits") -> Evaluation:
    """One in five codes fails; the others have an accuracy that depends on the code alone."""
    outcome = "build_error" if number(code) % 5 == 0 else "ok"
    return Evaluation(
        outcome=outcome,
        stage="train",
        protocol=protocol,
        protocol_sha256="a" * 64,
        code_sha256=SourceCode.inline(code).sha256,
        accuracy=number(code, "accuracy") % 1000 / 1000 if outcome == "ok" else None,
        seconds=1.0,
        sandbox_level="process",
    )


class Generator:
    async def handle(self, message: GenerationRequested) -> Sequence[Message]:
        code = f"code {number(message.seed, message.adapter and message.adapter.adapter) % 40}"
        return [
            CandidateGenerated(
                **message.about(),
                code=SourceCode.inline(code),
                prompt=f"write #{message.index}",
                protocol=message.protocol,
                adapter=message.adapter.adapter if message.adapter else None,
                bar=message.bar,
                usage=Usage(prompt_tokens=4, completion_tokens=6, seconds=0.5, cost=0.1),
            )
        ]


class Sharing(Generator):
    """Writes to the prompts that the spec says, each candidate another network."""

    async def handle(self, message: GenerationRequested) -> Sequence[Message]:
        (written,) = await super().handle(message)
        assert isinstance(written, CandidateGenerated)
        code = f"code {number(message.seed, message.adapter and message.adapter.adapter)}"
        asked = message.generation
        prompt = f"write #{asked.prompt(message.index)} of {asked.prompts or message.prompt_seed}"
        return [written.model_copy(update={"code": SourceCode.inline(code), "prompt": prompt})]


class Evaluator:
    def __init__(self) -> None:
        self.deaf_to: set[int] = set()

    async def handle(self, message: CandidateGenerated) -> Sequence[Message]:
        if message.index in self.deaf_to:
            return []
        result = evaluation(message.code.text or "")
        kind = CandidateEvaluatedOk if result.valid else CandidateEvaluatedFailed
        return [kind(**message.about(), code=message.code, evaluation=result)]


@dataclass
class Novelty:
    """Judges in index order. What it judged persists; what it is waiting with does not."""

    verdicts: dict[str, CandidateJudged] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    waiting: dict[tuple[str, int], dict[int, Message]] = field(default_factory=dict)

    async def handle(self, message: CandidateEvaluatedOk | CandidateEvaluatedFailed | CandidateLost) -> list[Message]:
        if message.submission is not None:
            return []
        if message.candidate_id in self.verdicts:
            self.waiting.setdefault((message.run_id, message.cycle), {})[message.index] = message
            return [self.verdicts[message.candidate_id], *self._judge(message.run_id, message.cycle)]
        self.waiting.setdefault((message.run_id, message.cycle), {})[message.index] = message
        return self._judge(message.run_id, message.cycle)

    def restart(self) -> None:
        self.waiting.clear()

    def _judge(self, run_id: str, cycle: int) -> list[Message]:
        heard, judged, index = self.waiting[run_id, cycle], [], 0
        while index in heard:
            message = heard[index]
            if isinstance(message, CandidateEvaluatedOk) and message.candidate_id not in self.verdicts:
                judged.append(self._verdict(message))
            index += 1
        return judged

    def _verdict(self, message: CandidateEvaluatedOk) -> CandidateJudged:
        known = message.code.sha256 in self.accepted
        self.accepted.add(message.code.sha256)
        verdict = CandidateJudged(
            **message.about(),
            verdict=Verdict.EXACT_DUPLICATE if known else Verdict.NOVEL,
            similarity=1.0 if known else 0.5,
            threshold=0.85,
            family=("plain", "residual", "dense")[number(message.code.sha256) % 3],
        )
        self.verdicts[message.candidate_id] = verdict
        return verdict


class Trainer:
    def __init__(self) -> None:
        self.broken = False
        self.requests: list[TrainingRequested] = []

    async def handle(self, message: TrainingRequested) -> Sequence[Message]:
        self.requests.append(message)
        if self.broken:
            return []
        manifest = BlobRef(key=f"adapters/{message.adapter}/manifest.json", sha256="b" * 64, bytes=1)
        ref = AdapterRef(adapter=message.adapter, manifest=manifest, base_model=message.base_model)
        return [AdapterTrained(**message.about(), adapter=ref, pair_count=message.pair_count)]


class World:
    """`pending` holds (queue, message) in order of publication; nothing moves but by `deliver` and `wait`."""

    def __init__(self, folder: Path, patience: Patience = PATIENCE) -> None:
        self.folder, self.patience = folder, patience
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.acts = 0
        self.pending: list[tuple[str, Message]] = []
        self.published: list[Message] = []
        self.evaluator, self.novelty, self.trainer = Evaluator(), Novelty(), Trainer()
        self.services = {
            "generator": Generator(),
            "evaluator": self.evaluator,
            "novelty": self.novelty,
            "trainer": self.trainer,
        }
        self.store = SqliteStore(folder / "registry.sqlite")
        self.blobs = DirectoryBlobs(folder / "blobs")
        self._begin()

    def _begin(self) -> None:
        self.controller = Controller(self.store, self.blobs, self.patience)
        self.services["registry"] = RegistryHandler(self.store, self.controller, lambda: self.now)

    def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.published.append(message)
            crossed = Envelope.parse(Envelope.of(message, source="test").encode()).message()
            self.pending += [(queue.name, crossed) for queue in QUEUES if queue.wants(message.name)]

    async def request(self, run_spec: RunSpec, run_id: str = RUN) -> None:
        self.publish([RunRequested(run_id=run_id, spec=run_spec)])

    async def act(self, verb: str, run_id: str = RUN, **said: object) -> None:
        """Steer a run as the API does: the act is on record, and then on its way. Raises Conflict, InvalidInput."""
        message = self.steered(verb, run_id, **said)
        run = await self.store.run(run_id)
        assert run is not None
        if await acting.changes_something(self.store, run, message.act):
            await self.store.record(message, self.now)
            self.publish([message])

    def steered(self, verb: str, run_id: str = RUN, **said: object) -> RunSteered:
        """The message of an act, as another system would send it."""
        self.acts += 1
        act = Act.model_validate({"verb": verb, "who": "tester", **said})
        return RunSteered(run_id=run_id, act_id=f"act-{self.acts}", act=act)

    async def deliver(self, position: int = 0, *, lose_answers: bool = False) -> None:
        """Handle one message; `lose_answers` is a crash between the effect and the publication."""
        queue, message = self.pending.pop(position)
        answers = await self.services[queue].handle(message)
        if not lose_answers:
            self.publish(answers)

    async def deliver_to_registry(self) -> None:
        """Let the registry catch up with what was published."""
        while waiting := [i for i, (queue, _) in enumerate(self.pending) if queue == "registry"]:
            await self.deliver(waiting[0])

    async def wait(self, seconds: float) -> None:
        """Let time pass, then tick."""
        self.now += timedelta(seconds=seconds)
        acts = await self.store.acted()
        for run_id in await self.store.unfinished():
            if self.controller.quiet(run_id, self.now, acts.get(run_id, 0)):
                self.publish(await self.controller.next(run_id, self.now))

    async def restart_registry(self) -> None:
        await self.store.close()
        self.store = SqliteStore(self.folder / "registry.sqlite")
        self._begin()

    async def kill(self) -> None:
        """The one process of the embedded mode dies: every message with it."""
        self.pending.clear()
        self.novelty.restart()
        await self.restart_registry()

    async def run_to_end(self, limit: int = 200, run_id: str = RUN) -> None:
        """Deliver in order, wait when nothing is left, until no run is unfinished."""
        for _ in range(limit):
            while self.pending:
                await self.deliver()
            if not await self.store.unfinished() and await self.store.run(run_id):
                return
            await self.wait(self.patience.training_s)
        raise AssertionError("the run does not end")
