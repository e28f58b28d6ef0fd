"""A candidate of a run scored once more, beside the run, of which it changes nothing."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from archloop.blobs import programs
from archloop.contracts.base import Strict
from archloop.contracts.numbers import NUMBER
from archloop.contracts.texts import Name
from archloop.errors import NotFound
from archloop.ops.problems import NOT_FOUND, responses
from services.registry import rescoring
from services.registry.api.candidates import get_candidate
from services.registry.api.ports import CandidatePath, Ports, PortsDep, StoreDep, authorized, role
from services.registry.api.requests import SubmissionRequest, check_protocol, submit_candidate
from services.registry.rescoring import MOST_SEEDS, Score

reading = APIRouter(tags=["candidates"])
router = APIRouter(tags=["candidates"], dependencies=[Depends(authorized)])
_ASKED = NOT_FOUND | responses(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT)
Who = Annotated[str, Depends(role)]


class ScoreRequest(Strict):
    """A protocol that ships, and how many training seeds beside its own; 0 is with its own."""

    protocol: Name
    seeds: Annotated[int, Field(ge=0, le=MOST_SEEDS), NUMBER] = 0


@reading.get("/candidates/{candidate_id}/scores", responses=NOT_FOUND)
async def list_scores(store: StoreDep, candidate_id: CandidatePath) -> list[Score]:
    """List what the candidate came to once more, by protocol and training seed."""
    return await rescoring.scores(store, await get_candidate(store, candidate_id))


@router.post("/candidates/{candidate_id}/scores", status_code=202, responses=_ASKED)
async def request_scores(
    ports: PortsDep, who: Who, candidate_id: CandidatePath, body: ScoreRequest, response: Response
) -> list[Score]:
    """Have the candidate's code scored once more. The same again, or fewer seeds, changes nothing."""
    await ask(ports, candidate_id, body, who)
    response.headers["Location"] = f"/candidates/{candidate_id}/scores"
    return await list_scores(ports.store, candidate_id)


async def ask(ports: Ports, candidate_id: str, asked: ScoreRequest, who: str) -> None:
    """Submit the candidate's code once more. Raises NotFound, InvalidInput for a protocol that does not ship."""
    candidate = await get_candidate(ports.store, candidate_id)
    if (source := await ports.store.source(candidate_id)) is None:
        raise NotFound("code of candidate", candidate_id)
    check_protocol(asked.protocol, "protocol")
    code = await programs.text_of(source.code, ports.blobs)
    seeds: list[int | None] = [*rescoring.seeds(asked.protocol, asked.seeds)]
    for seed in seeds or [None]:
        body = SubmissionRequest(
            batch=rescoring.batch(candidate.run_id),
            submission=rescoring.submission(candidate_id, asked.protocol, seed),
            code=code,
            protocol=asked.protocol,
            seed=seed,
            submitter=who,
        )
        await submit_candidate(ports, body, Response())
