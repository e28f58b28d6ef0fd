"""Steering a run: what was done to it, and what can be."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from archloop import templates
from archloop.blobs import programs
from archloop.contracts.acts import ON_CANDIDATES, Act, Changes, Verb
from archloop.contracts.values import Family
from archloop.errors import ArchloopError, InvalidInput
from archloop.validation import checked
from services.registry import acting
from services.registry.acts import listed
from services.registry.api import scores
from services.registry.api.ports import CandidatePath, Ports
from services.registry.api.scores import ScoreRequest
from services.registry.page.library import Entry
from services.registry.page.rendering import page
from services.registry.page.routing import DeskDep, OperatorRoute, PortsDep, form, frame

router = APIRouter(route_class=OperatorRoute, include_in_schema=False)
_VERBS = get_args(Verb)
_BACK: Mapping[Verb, str] = {"revert": "lineage"}
# What may change between cycles, by its place in `Changes`; the label is what people read.
FIELDS: Mapping[str, str] = {
    "candidates": "candidates of a cycle",
    "generation.temperature": "temperature",
    "generation.template": "prompt template",
    "novelty.threshold": "similarity of a near copy",
    "selection.threshold": "accuracy to be admitted",
    "selection.fallback_threshold": "accuracy if too few are",
    "budget.candidates": "budget: candidates",
    "budget.tokens": "budget: tokens",
    "budget.cost": "budget: cost",
    "budget.evaluator_seconds": "budget: evaluator seconds",
    "budget.wall_seconds": "budget: wall seconds",
}


@router.get("/page/runs/{key}/steer")
async def show(request: Request, desk: DeskDep, key: str) -> Response:
    """Show what was done to the run, and what can be."""
    return await _shown(request, await desk.library.find(key))


@router.post("/page/runs/{key}/steer")
async def steer(request: Request, desk: DeskDep, ports: PortsDep, key: str) -> Response:
    """Put an act on record."""
    entry, sent = await desk.library.find(key), await form(request)
    try:
        act = await _act(ports, sent)
        await acting.steer(ports.store, ports.publish, entry.run.run_id, act)
    except ArchloopError as error:
        return await _shown(request, entry, sent, str(error))
    back = f"candidates/{act.candidate}" if act.verb in ON_CANDIDATES else _BACK.get(act.verb, "steer")
    return RedirectResponse(f"/page/runs/{key}/{back}", HTTPStatus.SEE_OTHER)


@router.post("/page/runs/{key}/candidates/{candidate_id}/again")
async def evaluate_again(
    request: Request, desk: DeskDep, ports: PortsDep, key: str, candidate_id: CandidatePath
) -> Response:
    """Ask for a candidate's code to be scored once more, beside the run."""
    await desk.library.find(key)
    sent = await form(request)
    asked = {name: value for name in ("protocol", "seeds") if (value := sent.get(name, "").strip())}
    await scores.ask(ports, candidate_id, checked(ScoreRequest, {"protocol": ""} | asked, "again"), "page")
    return RedirectResponse(f"/page/runs/{key}/candidates/{candidate_id}", HTTPStatus.SEE_OTHER)


async def _shown(request: Request, entry: Entry, sent: Mapping[str, str] | None = None, problem: str = "") -> Response:
    cycles = await entry.shelf.store.cycles(entry.run.run_id)
    return page(
        "steer.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        **frame(request),
        entry=entry,
        run=entry.run,
        acts=listed(entry.run.acts, cycles),
        fields=FIELDS,
        templates=templates.names(),
        families=list(Family),
        sent=sent or {},
        problem=problem,
    )


async def _act(ports: Ports, sent: Mapping[str, str]) -> Act:
    """Make the act that a form asks for. Raises InvalidInput."""
    verb = sent.get("do", "")
    if verb not in _VERBS:
        raise InvalidInput("do", verb, f"one of {', '.join(_VERBS)}")
    made: dict[str, Any] = {"verb": verb, "who": "page", "comment": sent.get("comment", "").strip()}
    if verb == "change":
        made["changes"] = checked(Changes, _changes(sent), "changes")
    elif verb == "submit":
        if not (code := sent.get("code", "").replace("\r\n", "\n")).strip():
            raise InvalidInput("code", code, "the source of a network")
        made["code"] = await programs.referred(ports.blobs, code)
    elif verb in ON_CANDIDATES:
        made["candidate"] = sent.get("candidate", "")
    elif verb == "revert":
        made["adapter"] = sent.get("adapter", "")
    return checked(Act, made, "act")


def _changes(sent: Mapping[str, str]) -> dict[str, Any]:
    """Collect what is filled in; what is left empty stays as it is."""
    made: dict[str, Any] = {}
    for name in FIELDS:
        if value := sent.get(name, "").strip():
            part, _, field = name.rpartition(".")
            (made.setdefault(part, {}) if part else made)[field] = value
    if families := [family.value for family in Family if f"family.{family}" in sent]:
        made.setdefault("generation", {})["families"] = families
    return made
