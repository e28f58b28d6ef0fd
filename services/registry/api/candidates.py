"""Candidates, their code, and earlier evaluations by hash."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from archloop import sources
from archloop.blobs import programs
from archloop.contracts.base import Sha256
from archloop.contracts.values import Evaluation, Outcome, Verdict
from archloop.errors import NotFound
from archloop.ops.problems import NOT_FOUND, responses
from services.registry.api.ports import LARGEST, CandidatePath, Limit, Offset, PortsDep, RunPath, StoreDep, reader
from services.registry.api.runs import existing_run
from services.registry.records import Candidate, CandidateQuery, Page, Sort

router = APIRouter(tags=["candidates"])
_EACH = "Each of these words is in it, or one that begins so."
Words = Annotated[str | None, Query(max_length=200, description=_EACH)]
_AS_WRITTEN = {"description": "The code, exactly as it was written.", "content": {"text/plain": {}}}
_CODE: dict[int | str, dict[str, Any]] = {**NOT_FOUND, 200: _AS_WRITTEN}


@router.get("/runs/{run_id}/candidates", responses=NOT_FOUND)
async def list_candidates(
    store: StoreDep,
    run_id: RunPath,
    cycle: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    outcome: Outcome | None = None,
    verdict: Verdict | None = None,
    family: Annotated[str | None, Query(max_length=100)] = None,
    min_accuracy: Annotated[float | None, Query(ge=0, le=1)] = None,
    parent: Annotated[str | None, Query(max_length=100, description="Edits of this candidate.")] = None,
    code: Words = None,
    error: Words = None,
    sort: Sort = "index",
    offset: Offset = 0,
    limit: Limit = 100,
) -> Page[Candidate]:
    """List the run's candidates that meet every given condition."""
    await existing_run(store, run_id)
    query = CandidateQuery(
        run_id=run_id,
        cycle=cycle,
        outcome=outcome,
        verdict=verdict,
        family=family,
        min_accuracy=min_accuracy,
        parent=parent,
        code=code,
        error=error,
        sort=sort,
        offset=offset,
        limit=limit,
    )
    return await store.candidates(query)


@router.get("/candidates/{candidate_id}", responses=NOT_FOUND)
async def get_candidate(store: StoreDep, candidate_id: CandidatePath) -> Candidate:
    """Return all that is recorded of one candidate but its code."""
    candidate = await store.candidate(candidate_id)
    if candidate is None:
        raise NotFound("candidate", candidate_id)
    return candidate


@router.get(
    "/candidates/{candidate_id}/code",
    response_class=PlainTextResponse,
    dependencies=[Depends(reader)],
    responses={**_CODE, **responses(HTTPStatus.UNAUTHORIZED)},
)
async def get_code(ports: PortsDep, candidate_id: CandidatePath) -> PlainTextResponse:
    """Return the candidate's code. It was written by an LLM or another system: do not run it outside of a sandbox."""
    source = await ports.store.source(candidate_id)
    if source is None:
        raise NotFound("code of candidate", candidate_id)
    return PlainTextResponse(
        sources.encoded(await programs.text_of(source.code, ports.blobs)),
        headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"},
    )


@router.get("/evaluations", responses=NOT_FOUND)
async def get_evaluation(store: StoreDep, code_sha256: Sha256, protocol_sha256: Sha256) -> Evaluation:
    """Return what was measured first of this code under this protocol."""
    evaluation = await store.evaluation(code_sha256, protocol_sha256)
    if evaluation is None:
        raise NotFound("evaluation", f"{code_sha256} under {protocol_sha256}")
    return evaluation
