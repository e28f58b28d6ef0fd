"""Steering a run: each act is on record once it is answered, and becomes a message like any other request."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from archloop.blobs import programs
from archloop.contracts.acts import Act, Changes
from archloop.contracts.base import Strict
from archloop.contracts.texts import Name, Remark, Said
from archloop.ops.problems import NOT_FOUND, responses
from services.registry import acting
from services.registry.acts import ActSummary, listed
from services.registry.api.ports import CandidatePath, PortsDep, RunPath, StoreDep, Traceparent, authorized, role
from services.registry.api.requests import CODE_LIMIT, Accepted, accepted
from services.registry.api.runs import existing_run

acts = APIRouter(tags=["acts"])
router = APIRouter(
    tags=["acts"],
    dependencies=[Depends(authorized)],
    responses=NOT_FOUND | responses(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT),
)
Who = Annotated[str, Depends(role)]
Comment = Annotated[Remark, Query(description="Why, for who reads the acts.")]


class CandidateRequest(Strict):
    """A network that somebody wrote, for the run's next cycle."""

    code: Annotated[Said, Field(max_length=CODE_LIMIT)]


class ExemplarRequest(Strict):
    """Whether the LLM is always, or never, to be shown the candidate and tuned on it."""

    state: Literal["pinned", "banned"]


class RevertRequest(Strict):
    """The adapter that wrote an earlier cycle, or the base model's name."""

    adapter: Name


class Steering:
    """Records one caller's acts, with the comment on them, and publishes them."""

    def __init__(
        self,
        ports: PortsDep,
        run_id: RunPath,
        who: Who,
        response: Response,
        comment: Comment = "",
        traceparent: Traceparent = None,
    ) -> None:
        self._ports, self._run_id, self._said = ports, run_id, {"who": who, "comment": comment}
        self._response, self._traceparent = response, traceparent

    async def do(self, act: Act) -> Accepted:
        """Put the act on record and on its way, as this caller's. Raises NotFound, Conflict, InvalidInput."""
        ports, own = self._ports, act.model_copy(update=self._said)
        message = await acting.steer(ports.store, ports.publish, self._run_id, own, self._traceparent)
        return accepted(self._response, message.id, f"/runs/{self._run_id}/acts")


SteeringDep = Annotated[Steering, Depends()]


@acts.get("/runs/{run_id}/acts", responses=NOT_FOUND)
async def list_acts(store: StoreDep, run_id: RunPath) -> list[ActSummary]:
    """List what was done to the run, in order: who, when, what, and which cycle took it up."""
    run = await existing_run(store, run_id)
    return listed(run.acts, await store.cycles(run_id))


@router.post("/runs/{run_id}/pause", status_code=202)
async def pause_run(steering: SteeringDep) -> Accepted:
    """Ask for nothing new; what is under way ends and is counted. Once more changes nothing."""
    return await steering.do(Act(verb="pause"))


@router.post("/runs/{run_id}/resume", status_code=202)
async def resume_run(steering: SteeringDep) -> Accepted:
    """Go on with a run that is paused, as if nothing had been. Of a run that goes on it changes nothing."""
    return await steering.do(Act(verb="resume"))


@router.post("/runs/{run_id}/cancel", status_code=202)
async def cancel_run(steering: SteeringDep) -> Accepted:
    """End the run now: what was not settled by then is not counted. Once more changes nothing."""
    return await steering.do(Act(verb="cancel"))


@router.post("/runs/{run_id}/changes", status_code=202)
async def change_run(steering: SteeringDep, body: Changes) -> Accepted:
    """Change what the run asks for from its next cycle on."""
    return await steering.do(Act(verb="change", changes=body))


@router.put("/runs/{run_id}/exemplars/{candidate_id}", status_code=202)
async def set_exemplar(steering: SteeringDep, candidate_id: CandidatePath, body: ExemplarRequest) -> Accepted:
    """Pin a candidate of the run, or ban it, from the next cycle on."""
    return await steering.do(Act(verb="pin" if body.state == "pinned" else "ban", candidate=candidate_id))


@router.delete("/runs/{run_id}/exemplars/{candidate_id}", status_code=202)
async def release_exemplar(steering: SteeringDep, candidate_id: CandidatePath) -> Accepted:
    """Neither pin nor ban a candidate any more, from the next cycle on."""
    return await steering.do(Act(verb="release", candidate=candidate_id))


@router.post("/runs/{run_id}/candidates", status_code=202)
async def give_candidate(steering: SteeringDep, ports: PortsDep, body: CandidateRequest) -> Accepted:
    """Have a network of one's own scored and judged among the candidates of the run's next cycle."""
    code = await programs.referred(ports.blobs, body.code)
    return await steering.do(Act(verb="submit", code=code))


@router.post("/runs/{run_id}/revert", status_code=202)
async def revert_run(steering: SteeringDep, body: RevertRequest) -> Accepted:
    """Have the next cycle written by an earlier version of the LLM, which the training after it continues."""
    return await steering.do(Act(verb="revert", adapter=body.adapter))
