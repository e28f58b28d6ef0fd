"""One candidate: its code, what it was asked, what became of it, what it is like, and where it comes from."""

from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from archloop import protocols, sources
from archloop.blobs import programs
from archloop.contracts.acts import ON_CANDIDATES
from archloop.errors import ArchloopError, NotFound
from services.registry import rescoring
from services.registry.acts import NO_EXEMPLARS
from services.registry.api.ports import CandidatePath
from services.registry.page import charts, family_tree, highlighting
from services.registry.page.library import Entry
from services.registry.page.rendering import page
from services.registry.page.routing import LibraryDep, PageRoute, frame
from services.registry.records import Candidate

router = APIRouter(route_class=PageRoute, include_in_schema=False)


class Program(NamedTuple):
    """A candidate's code and prompt; the code may have been lost with its blob."""

    code: str
    prompt: str | None
    missing: str = ""


@router.get("/page/runs/{key}/candidates/{candidate_id}")
async def show(request: Request, library: LibraryDep, key: str, candidate_id: CandidatePath) -> Response:
    """Show a candidate."""
    entry = await library.find(key)
    candidate = await _existing(entry, candidate_id)
    program = await _program(entry, candidate_id)
    evaluation, judgement = candidate.evaluation, candidate.judgement
    error = evaluation.detail if evaluation and not evaluation.valid else candidate.problem
    return page(
        "candidate.html",
        **frame(request),
        entry=entry,
        run=entry.run,
        candidate=candidate,
        evaluation=evaluation,
        judgement=judgement,
        program=program,
        error=error,
        lines=highlighting.lines(program.code, error),
        again=list(rescoring.spreads(candidate, await rescoring.scores(entry.shelf.store, candidate))),
        most_seeds=rescoring.MOST_SEEDS,
        protocols=protocols.names(),
        exemplar=_exemplar(entry, candidate_id),
        loss=charts.own_loss(evaluation.loss_curve) if evaluation else None,
        nearest=await _found(entry, judgement.nearest if judgement else None),
        ancestors=await family_tree.ancestors(entry.shelf.store, candidate),
        children=await family_tree.children(entry.shelf.store, candidate),
    )


@router.get("/page/runs/{key}/candidates/{candidate_id}/code")
async def download(library: LibraryDep, key: str, candidate_id: CandidatePath) -> Response:
    """Send the code as text, exactly as it was written."""
    entry = await library.find(key)
    await _existing(entry, candidate_id)
    program = await _program(entry, candidate_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{candidate_id}.py.txt"',
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return PlainTextResponse(sources.encoded(program.code), HTTPStatus.OK, headers)


@router.get("/page/runs/{key}/candidates/{candidate_id}/diff/{other_id}")
async def diff(
    request: Request, library: LibraryDep, key: str, candidate_id: CandidatePath, other_id: CandidatePath
) -> Response:
    """Show two candidates side by side, the other one on the left."""
    entry = await library.find(key)
    sides = [await _existing(entry, each) for each in (other_id, candidate_id)]
    codes = [await _program(entry, each) for each in (other_id, candidate_id)]
    rows = highlighting.side_by_side(codes[0].code, codes[1].code)
    left, right = sides
    shown: dict[str, Any] = {"left": left, "right": right, "rows": rows}
    return page("diff.html", **frame(request), entry=entry, run=entry.run, **shown)


def _exemplar(entry: Entry, candidate_id: str) -> str:
    """Return what acts made of the candidate: pinned, banned or nothing."""
    exemplars = NO_EXEMPLARS
    for recorded in entry.run.acts:
        if recorded.act.verb in ON_CANDIDATES:
            exemplars = exemplars.after(recorded.act)
    pinned, banned = candidate_id in exemplars.pinned, candidate_id in exemplars.banned
    return "pinned" if pinned else "banned" if banned else ""


async def _existing(entry: Entry, candidate_id: str) -> Candidate:
    candidate = await _found(entry, candidate_id)
    if candidate is None:
        raise NotFound("candidate", candidate_id)
    return candidate


async def _found(entry: Entry, candidate_id: str | None) -> Candidate | None:
    return await entry.shelf.store.candidate(candidate_id) if candidate_id else None


async def _program(entry: Entry, candidate_id: str) -> Program:
    source = await entry.shelf.store.source(candidate_id)
    if source is None:
        return Program("", None, "no code is on record yet")
    try:
        return Program(await programs.text_of(source.code, entry.shelf.blobs), source.prompt)
    except ArchloopError as error:
        return Program("", source.prompt, str(error))
