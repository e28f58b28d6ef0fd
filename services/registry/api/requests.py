"""What others may ask for. A request becomes a message on the bus and takes the way of every message."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import ConfigDict, Field

from archloop import protocols
from archloop.blobs import programs
from archloop.contracts.base import Frozen, Message, RunId, absent, candidate_id
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateSubmitted, RunRequested
from archloop.contracts.numbers import Seed
from archloop.contracts.spec import BootstrapSpec, NoveltySpec, RunSpec
from archloop.contracts.texts import Name, Said
from archloop.contracts.values import sha256_of
from archloop.errors import Conflict, InvalidInput
from archloop.ops.problems import responses
from archloop.training_pairs import TrainingPair
from services.registry.api.ports import Ports, PortsDep, Traceparent, authorized
from services.registry.control import pairs
from services.registry.records import Candidate, utc_now
from services.registry.requesting import check

router = APIRouter(
    tags=["requests"],
    dependencies=[Depends(authorized)],
    responses=responses(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT),
)
CODE_LIMIT = 2**20


class _Body(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRequest(_Body):
    """A run under a name of the caller's choice; the same request again changes nothing."""

    run_id: RunId
    spec: RunSpec


class SubmissionRequest(_Body):
    """Code to be scored and judged like any other candidate. `batch` and `submission` together are its name."""

    batch: RunId
    submission: Annotated[str, Field(min_length=1, max_length=200)]
    code: Annotated[str, Field(max_length=CODE_LIMIT)]
    protocol: Name
    seed: Annotated[Seed | None, absent(None)] = None
    novelty: NoveltySpec = NoveltySpec(scope="global")
    submitter: Annotated[str, Field(max_length=200)] = ""


class Pair(TrainingPair):
    """A prompt, the completion that the LLM is to learn for it, and a worse one, which `sft` leaves out."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[Said, Field(max_length=CODE_LIMIT)]
    completion: Annotated[Said, Field(max_length=CODE_LIMIT)]
    rejected: Annotated[Annotated[Said, Field(max_length=CODE_LIMIT)] | None, absent(None)] = None


class PairsRequest(_Body):
    """Pairs to begin a run with."""

    pairs: Annotated[list[Pair], Field(min_length=1, max_length=100_000)]


class Accepted(Frozen):
    """The message that was published, and where its effect will be seen."""

    message_id: str
    location: str


@router.post("/runs", status_code=202)
async def request_run(
    ports: PortsDep, body: RunRequest, response: Response, traceparent: Traceparent = None
) -> Accepted:
    """Ask for a run. It is on record once this is answered, and begins even if nobody hears of it."""
    check_protocol(body.spec.protocol, "spec.protocol")
    check(body.spec, ports.base_models)
    await _check_bootstrap(ports, body.spec)
    message = RunRequested(run_id=body.run_id, spec=body.spec)
    await ports.store.record(message, utc_now())
    await _publish(ports, message, traceparent)
    return accepted(response, message.id, f"/runs/{body.run_id}")


@router.post("/pairs", status_code=201)
async def keep_pairs(ports: PortsDep, body: PairsRequest) -> BootstrapSpec:
    """Keep pairs, for the `bootstrap` of a run's spec."""
    lines = [pair.line() for pair in body.pairs]
    return BootstrapSpec(pairs=await pairs.put_bootstrap(ports.blobs, lines), count=len(lines))


@router.post("/submissions", status_code=202)
async def submit_candidate(
    ports: PortsDep, body: SubmissionRequest, response: Response, traceparent: Traceparent = None
) -> Accepted:
    """Submit a candidate."""
    check_protocol(body.protocol, "protocol")
    name = candidate_id(body.batch, 0, 0, body.submission)
    digest = sha256_of(body.code)
    _require_same_code(body, await ports.store.candidate(name), digest)
    message = CandidateSubmitted(
        run_id=body.batch,
        submission=body.submission,
        code=await programs.stored(ports.blobs, body.code),
        protocol=body.protocol,
        seed=body.seed,
        novelty=body.novelty,
        submitter=body.submitter,
    )
    await ports.store.record(message, utc_now())
    _require_same_code(body, await ports.store.candidate(name), digest)
    await _publish(ports, message, traceparent)
    return accepted(response, message.id, f"/candidates/{name}")


def _require_same_code(body: SubmissionRequest, known: Candidate | None, sha256: str) -> None:
    """Raise Conflict where the name is taken by other code."""
    if known is not None and known.code_sha256 not in {None, sha256}:
        raise Conflict(f"submission: {body.submission!r} of {body.batch!r} is taken by other code; choose another name")


def check_protocol(name: str, field: str) -> None:
    """Raise InvalidInput for a protocol that does not ship, also for a path, which would be read on this machine."""
    if name not in protocols.names():
        raise InvalidInput(field, name, f"one of {', '.join(protocols.names())}")


async def _check_bootstrap(ports: Ports, spec: RunSpec) -> None:
    if spec.bootstrap is None:
        return
    found = spec.bootstrap.pairs
    if found is None or await ports.blobs.find(found.key) != found:
        raise InvalidInput("spec.bootstrap.pairs", found, "what POST /pairs answered")


async def _publish(ports: Ports, message: Message, traceparent: str | None) -> None:
    await ports.publish(Envelope.of(message, source="registry", traceparent=traceparent))


def accepted(response: Response, message_id: str, location: str) -> Accepted:
    """Answer that the request is on its way, and say where its effect will be seen."""
    response.headers["Location"] = location
    return Accepted(message_id=message_id, location=location)
