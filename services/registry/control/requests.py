"""The messages by which the registry asks for work, made from rows alone so that they can be made again."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from archloop.contracts.messages import (
    BOOTSTRAP,
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateLost,
    CycleClosed,
    GenerationRequested,
    TrainingRequested,
)
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef, BlobRef, Collapse, Parent, Remembered, Usage
from services.registry.records import Candidate, Cycle, Run, Source

UNNAMED = "somebody"


def derived_seed(*parts: object) -> int:
    """Derive a 31-bit seed. The run's name is not among the parts, so that equal run seeds give equal candidates."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def adapter_name(run_id: str, cycle: int) -> str:
    """Return `<run>-c<cycle>`, or `<run>-start`, in the form that model servers accept.

    A run name that must be changed for it gets a hash.
    """
    clean = re.sub(r"[^a-z0-9]+", "-", run_id.lower()).strip("-")
    end = "start" if cycle == BOOTSTRAP else f"c{cycle}"
    room = 62 - len(end)
    if clean != run_id or len(clean) > room:
        tag = hashlib.sha256(run_id.encode()).hexdigest()[:8]
        clean = f"{clean[: room - 9].rstrip('-')}-{tag}"
    return f"{clean}-{end}"


def generation(
    run: Run,
    cycle: Cycle,
    index: int,
    bar: float | None = None,
    parent: Parent | None = None,
    memory: tuple[Remembered, ...] = (),
) -> GenerationRequested:
    """Ask for a candidate, which is to reach the bar of the protocol's ladder, if there is one."""
    spec = run.spec
    return GenerationRequested(
        run_id=run.run_id,
        run_uid=run.uid,
        cycle=cycle.cycle,
        index=index,
        seed=derived_seed("candidate", spec.seed, cycle.cycle, index),
        prompt_seed=_prompt_seed(spec, cycle.cycle, index),
        protocol=spec.protocol,
        generation=spec.generation,
        novelty=spec.novelty,
        base_model=spec.base_model,
        adapter=cycle.adapter,
        bar=bar,
        parent=parent,
        memory=memory,
    )


def submitted(run: Run, cycle: Cycle, index: int, bar: float | None = None) -> CandidateGenerated:
    """Say what somebody submitted, as if it were generated, for the evaluator to answer."""
    assert cycle.steered is not None
    given = cycle.steered.submitted[index - run.spec.candidates]
    return CandidateGenerated(
        run_id=run.run_id,
        run_uid=run.uid,
        cycle=cycle.cycle,
        index=index,
        code=given.code,
        prompt="",
        protocol=run.spec.protocol,
        novelty=run.spec.novelty,
        bar=bar,
        submitter=given.who or UNNAMED,
    )


def _prompt_seed(spec: RunSpec, cycle: int, index: int) -> int | None:
    """Return what candidates that answer one prompt share; None where each has its own."""
    if spec.generation.answers == 1:
        return None
    return derived_seed("prompt", spec.seed, cycle, spec.generation.slot(index))


def evaluation(run: Run, candidate: Candidate, source: Source, bar: float | None = None) -> CandidateGenerated:
    """Repeat what was generated, for the evaluator to answer."""
    asked = {"protocol": run.spec.protocol, "novelty": run.spec.novelty, "adapter": candidate.adapter, "bar": bar}
    answered = {
        "code": source.code,
        "prompt": source.prompt or "",
        "parent": candidate.parent,
        "problem": candidate.problem,
        "submitter": candidate.submitter,
    }
    return CandidateGenerated.model_validate(
        _place(run, candidate) | asked | answered | {"usage": candidate.usage or Usage()}
    )


def judgement(run: Run, candidate: Candidate, source: Source) -> CandidateEvaluatedOk | CandidateEvaluatedFailed:
    """Repeat what was measured, for the novelty service to answer or to go on."""
    kind = CandidateEvaluatedOk if candidate.valid else CandidateEvaluatedFailed
    measured = {"code": source.code, "novelty": run.spec.novelty, "evaluation": candidate.evaluation}
    return kind.model_validate(_place(run, candidate) | measured)


def loss(run: Run, candidate: Candidate) -> CandidateLost:
    """Repeat that the candidate was given up."""
    assert candidate.lost is not None
    return CandidateLost.model_validate(_place(run, candidate) | dict(candidate.lost))


def training(run: Run, cycle: int, parent: AdapterRef | None, pairs: BlobRef, pair_count: int) -> TrainingRequested:
    """Ask for the adapter that follows the cycle, or with which the run begins: that one by `sft`, whatever follows."""
    spec = run.spec.training
    return TrainingRequested(
        run_id=run.run_id,
        run_uid=run.uid,
        cycle=cycle,
        adapter=adapter_name(run.run_id, cycle),
        base_model=run.spec.base_model,
        parent=parent,
        pairs=pairs,
        pair_count=pair_count,
        training=spec.model_copy(update={"method": "sft"}) if cycle == BOOTSTRAP else spec,
        seed=derived_seed("training", run.spec.seed, cycle),
    )


def closing(run: Run, cycle: Cycle, ended: Counter[str], collapse: Collapse | None = None) -> CycleClosed:
    """Tell how the cycle ended, as `endings` counts it, and as it was watched."""
    names = ("generated", "valid", "novel", "admitted")
    counts = {name: ended[name] for name in names}
    return CycleClosed(run_id=run.run_id, run_uid=run.uid, cycle=cycle.cycle, collapse=collapse, **counts)


def endings(candidates: Iterable[Candidate]) -> Counter[str]:
    """Count how many candidates ended how. Lost ones count as generated, and what people submitted as nothing."""
    counted: Counter[str] = Counter()
    for c in candidates:
        if c.submitter:
            continue
        counted.update(generated=1, valid=c.valid, novel=c.novel, admitted=c.admitted)
    return counted


def _place(run: Run, candidate: Candidate) -> dict[str, Any]:
    return {"run_id": run.run_id, "run_uid": run.uid, "cycle": candidate.cycle, "index": candidate.index}
