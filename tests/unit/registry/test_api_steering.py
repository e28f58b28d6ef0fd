"""Steering over HTTP: what each request puts on record and says, what it answers, and what it refuses by which name."""

from pathlib import Path
from typing import Any, get_args

import pytest

from archloop.contracts.acts import ON_CANDIDATES, Act, Changes, Verb
from archloop.contracts.base import candidate_id
from archloop.contracts.messages import RunSteered
from archloop.contracts.values import SourceCode, sha256_of
from archloop_lab.remote_registry import RemoteRegistry
from services.registry.api.requests import CODE_LIMIT
from services.registry.records import CandidateQuery
from tests.unit.registry.test_api import PUBLISHED, client_of
from tests.unit.registry.world import RUN, World, spec

URL = f"/runs/{RUN}"
CODE = "class Net: ..."


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """A run in its second cycle of three."""
    PUBLISHED.clear()
    world = World(tmp_path)
    await world.request(spec())
    while len(await world.store.cycles(RUN)) < 2:
        await world.deliver()
    return world


async def valid(world: World) -> str:
    found = (await world.store.candidates(CandidateQuery(run_id=RUN, cycle=0))).items
    return next(c.candidate_id for c in found if c.valid and c.judgement)


def said() -> list[RunSteered]:
    messages = [envelope.message() for envelope in PUBLISHED]
    assert all(isinstance(each, RunSteered) for each in messages)
    return messages  # type: ignore[return-value]


ACTS: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("POST", "pause", None, "pause"),
    ("POST", "cancel", None, "cancel"),
    ("POST", "changes", {"candidates": 9, "generation": {"temperature": 1.5}}, "change"),
    ("PUT", "exemplars/{valid}", {"state": "pinned"}, "pin"),
    ("PUT", "exemplars/{valid}", {"state": "banned"}, "ban"),
    ("POST", "candidates", {"code": CODE}, "submit"),
    ("POST", "revert", {"adapter": "tiny"}, "revert"),
]


@pytest.mark.parametrize(("method", "path", "body", "verb"), ACTS)
async def test_an_act_is_on_record_and_said_once_it_is_answered_and_once_only(
    world: World, method: str, path: str, body: dict[str, Any] | None, verb: str
) -> None:
    url = f"{URL}/{path.format(valid=await valid(world))}"
    async with client_of(world) as client:
        answers = [await client.request(method, url, json=body) for _ in range(3)]
        listed = (await client.get(f"{URL}/acts")).json()
    assert [answer.status_code for answer in answers] == [202] * 3
    assert {answer.headers["location"] for answer in answers} == {f"{URL}/acts"}
    assert [message.act.verb for message in said()] == [verb]
    assert answers[0].json()["message_id"] == said()[0].id
    assert [(each["number"], each["verb"], each["who"], each["cycle"]) for each in listed] == [
        (1, verb, "operator", None)
    ]
    run = await world.store.run(RUN)
    assert run is not None
    assert [each.act for each in run.acts] == [message.act for message in said()]


@pytest.mark.parametrize("verb", get_args(Verb))
async def test_every_act_of_the_command_keeps_its_comment(world: World, verb: Verb) -> None:
    objects: dict[str, dict[str, Any]] = {
        "change": {"changes": Changes(candidates=9)},
        "submit": {"code": SourceCode.inline(CODE)},
        "revert": {"adapter": "tiny"},
        **{key: {"candidate": await valid(world)} for key in ON_CANDIDATES},
    }
    act = Act.model_validate({"verb": verb, "comment": "why & how: 50 % <b>"} | objects.get(verb, {}))
    before = {"release": "pin", "resume": "pause"}.get(verb)
    async with client_of(world) as client:
        registry = RemoteRegistry(client)
        if before:
            await registry.steer(RUN, Act.model_validate({"verb": before} | objects.get(before, {})))
        await registry.steer(RUN, act)
        listed = (await client.get(f"{URL}/acts")).json()
    assert (listed[-1]["verb"], listed[-1]["comment"]) == (verb, act.comment)
    assert said()[-1].act.comment == act.comment


async def test_what_was_paused_or_set_is_undone(world: World) -> None:
    exemplar = f"{URL}/exemplars/{await valid(world)}"
    async with client_of(world) as client:
        assert (await client.post(f"{URL}/resume")).status_code == 202
        await client.post(f"{URL}/pause")
        assert (await client.get(URL)).json()["status"] == "paused"
        await client.post(f"{URL}/resume")
        assert (await client.get(URL)).json()["status"] == "running"
        assert (await client.delete(exemplar)).status_code == 202
        await client.put(exemplar, json={"state": "banned"})
        await client.delete(exemplar)
    assert [message.act.verb for message in said()] == ["pause", "resume", "ban", "release"]


async def test_who_gives_the_token_acts_by_it(world: World) -> None:
    async with client_of(world, token="secret") as client:
        assert (await client.post(f"{URL}/pause")).status_code == 401
        await client.post(f"{URL}/pause", headers={"Authorization": "Bearer secret"})
        (listed,) = (await client.get(f"{URL}/acts")).json()
    assert listed["who"] == "operate"


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("POST", "changes", {}, 422, "at least one change"),
    ("POST", "changes", {"generation": {}}, 422, "at least one change"),
    ("POST", "changes", {"cycles": 9}, 422, "body.cycles"),
    ("POST", "changes", {"candidates": 0}, 422, "body.candidates"),
    ("POST", "changes", {"candidates": True}, 422, "body.candidates"),
    ("POST", "changes", {"generation": {"temperature": 3}}, 422, "body.generation.temperature"),
    ("POST", "changes", {"generation": {"temprature": 1}}, 422, "body.generation.temprature"),
    ("POST", "changes", {"generation": {"families": ["round"]}}, 422, "body.generation.families.0"),
    ("POST", "changes", {"generation": {"families": ["dense", "dense"]}}, 422, "each family once"),
    ("POST", "changes", {"generation": {"template": "../etc"}}, 422, "generation.template"),
    ("POST", "changes", {"novelty": {"threshold": 1.1}}, 422, "body.novelty.threshold"),
    ("POST", "changes", {"selection": {"fallback_threshold": 0.9}}, 422, "fallback_threshold must not exceed"),
    ("POST", "changes", {"budget": {"tokens": -1}}, 422, "body.budget.tokens"),
    ("PUT", "exemplars/{valid}", {"state": "liked"}, 422, "body.state"),
    ("PUT", "exemplars/{failed}", {"state": "pinned"}, 422, "candidate"),
    ("PUT", f"exemplars/{candidate_id('other', 0, 0)}", {"state": "banned"}, 404, "candidate"),
    ("PUT", "exemplars/none", {"state": "banned"}, 422, "path.candidate_id"),
    ("POST", "candidates", {"code": "  "}, 422, "body.code"),
    ("POST", "candidates", {"code": "x" * (CODE_LIMIT + 1)}, 422, "body.code"),
    ("POST", "candidates", {"code": CODE, "who": "me"}, 422, "body.who"),
    ("POST", "revert", {}, 422, "body.adapter"),
    ("POST", "revert", {"adapter": "run-1-c9"}, 422, "one that has written a cycle of the run: tiny, run-1-c0"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "told"), REFUSED)
async def test_what_cannot_be_is_refused_by_its_name(
    world: World, method: str, path: str, body: Any, status: int, told: str
) -> None:
    found = (await world.store.candidates(CandidateQuery(run_id=RUN, cycle=0))).items
    failed = next(c.candidate_id for c in found if not c.valid)
    async with client_of(world) as client:
        answer = await client.request(
            method, f"{URL}/{path.format(valid=await valid(world), failed=failed)}", json=body
        )
    assert answer.status_code == status
    assert told in answer.text
    assert not PUBLISHED


@pytest.mark.parametrize(("method", "path", "body", "verb"), ACTS)
async def test_a_run_that_is_over_and_one_that_there_is_not_are_not_steered(
    world: World, method: str, path: str, body: dict[str, Any] | None, verb: str
) -> None:
    path = path.format(valid=await valid(world))
    await world.run_to_end()
    async with client_of(world) as client:
        over = await client.request(method, f"{URL}/{path}", json=body)
        unknown = await client.request(method, f"/runs/nobody/{path}", json=body)
    assert (over.status_code, unknown.status_code) == (409, 404)
    assert f"is over (completed): nobody can {verb} it any more" in over.json()["detail"]
    assert not PUBLISHED


async def test_the_list_of_acts_has_code_by_its_hash_and_the_cycle_that_took_it_up(world: World) -> None:
    async with client_of(world) as client:
        await client.post(f"{URL}/candidates", json={"code": CODE}, params={"comment": "<b>mine</b>"})
        await world.run_to_end()
        (listed,) = (await client.get(f"{URL}/acts")).json()
        summary = (await client.get(f"{URL}/summary")).json()
        assert (await client.get("/runs/nobody/acts")).status_code == 404
    assert (listed["code_sha256"], listed["comment"], listed["cycle"]) == (sha256_of(CODE), "<b>mine</b>", 2)
    assert summary["acts"] == [listed]
    assert CODE not in str(summary)


async def test_a_network_of_ones_own_is_read_by_who_may_read_code_and_by_nobody_else(world: World) -> None:
    own = f"{candidate_id(RUN, 2, 6)}"
    async with client_of(world, token="secret") as client:
        answer = await client.post(f"{URL}/candidates", json={"code": CODE}, headers={"Authorization": "Bearer secret"})
        assert answer.status_code == 202
        await world.run_to_end()
        open_to_all = [await client.get(f"{path}") for path in ("/runs", URL, f"{URL}/cycles", f"{URL}/acts")]
        open_to_all.append(await client.get(f"/candidates/{own}"))
        assert (await client.get(f"/candidates/{own}/code")).status_code == 401
        read = await client.get(f"/candidates/{own}/code", headers={"Authorization": "Bearer secret"})
    assert {each.status_code for each in open_to_all} == {200}
    assert CODE not in "".join(each.text for each in open_to_all)
    assert read.text == CODE
