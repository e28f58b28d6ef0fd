"""Who comes in, with which token, and what a session may do."""

from collections.abc import Iterable

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from archloop.ops.doors import SAFE
from services.registry.page.access import COOKIE, Access
from services.registry.page.routing import LOGOUT, PageRoute
from tests.unit.page.pages import Seen, app_of, client_of
from tests.unit.registry.world import RUN, World

OPEN = {"/", "/page", "/page/static/{name}", "/page/login"}
VALUES = {
    "key": RUN,
    "candidate_id": f"{'0' * 8}-0000-0000-0000-{'0' * 12}",
    "other_id": "x",
    "name": "page.js",
    "parked_id": "x",
}


def routes(found: Iterable[BaseRoute]) -> list[Route]:
    listed: list[Route] = []
    for route in found:
        if (included := getattr(route, "original_router", None)) is not None:
            listed += routes(included.routes)
        elif isinstance(route, Route) and (route.path.startswith("/page") or route.path == "/"):
            listed.append(route)
    return listed


def changes(app: FastAPI) -> list[tuple[str, str]]:
    """What may be asked for that changes something, the logout last."""
    found = [(m, r.path) for r in routes(app.routes) for m in r.methods or () if m not in SAFE and r.path not in OPEN]
    return sorted(found, key=lambda each: each[1] == LOGOUT)


async def log_in(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/page/login", data={"token": token, "next": f"/page/runs/{RUN}"})


async def test_every_view_needs_a_session_and_every_change_a_form_of_it(world: World) -> None:
    app = app_of(world, "write", "read")
    found = routes(app.routes)
    assert {route.path for route in found if not isinstance(route, PageRoute)} == OPEN
    async with client_of(app) as client:
        for route in found:
            if route.path in OPEN:
                continue
            for method in (route.methods or set()) - {"HEAD"}:
                answer = await client.request(method, route.path.format(**VALUES))
                assert answer.status_code == 303, route.path
                assert answer.headers["location"].startswith("/page/login?next=")


@pytest.mark.parametrize("token", ["", "other", "rea", "read2", "writ", "écrire", "\0"])
async def test_no_other_token_begins_a_session(world: World, token: str) -> None:
    async with client_of(app_of(world, "write", "read")) as client:
        answer = await log_in(client, token)
        assert (answer.status_code, answer.cookies.get(COOKIE)) == (401, None)


@pytest.mark.parametrize(("token", "role"), [("read", "read"), ("write", "operate"), (" write ", "operate")])
async def test_a_token_begins_a_session_that_scripts_and_other_sites_do_not_get(
    world: World, token: str, role: str
) -> None:
    async with client_of(app_of(world, "write", "read")) as client:
        answer = await log_in(client, token)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/page/runs/{RUN}")
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/page"))
        assert f"may {role}" in (await client.get("/page/runs")).text


@pytest.mark.parametrize(
    "to", ["//elsewhere.example", "https://elsewhere.example", "/runs", "/page/logout", "/page/\r\nSet-Cookie: a=b", ""]
)
async def test_after_the_login_nobody_is_led_elsewhere(world: World, to: str) -> None:
    async with client_of(app_of(world, "write")) as client:
        answer = await client.post("/page/login", data={"token": "write", "next": to})
        assert answer.headers["location"] == "/page/runs"


@pytest.mark.parametrize("forged", ["", "operate", "eyJyb2xlIjoib3BlcmF0ZSJ9.abc.def"])
async def test_a_session_that_was_not_begun_here_is_none(world: World, forged: str) -> None:
    async with client_of(app_of(world, "write", "read")) as client:
        client.cookies.set(COOKIE, forged, path="/page")
        assert (await client.get("/page/runs")).status_code == 303


async def test_a_session_ends_with_its_tokens_and_at_the_logout(world: World) -> None:
    async with client_of(app_of(world, "write")) as client:
        session = (await log_in(client, "write")).cookies[COOKIE]
        token = Seen((await client.get("/page/runs")).text).all("input")[0]["value"]
        assert (await client.post("/page/logout", data={"form_token": token})).headers["location"] == "/page/login"
        assert (await client.get("/page/runs")).status_code == 303
    async with client_of(app_of(world, "changed")) as client:
        client.cookies.set(COOKIE, session, path="/page")
        assert (await client.get("/page/runs")).status_code == 303


@pytest.mark.parametrize("brought", ["", "wrong", "another session's", "the one without sessions"])
async def test_a_form_that_was_not_made_for_the_session_changes_nothing(world: World, brought: str) -> None:
    access = Access(None, None)
    async with client_of(app := app_of(world, "write")) as client:
        await log_in(client, "write")
        desk = app.state.desk
        given = {
            "another session's": desk.access.form_token(desk.access.session("operate")),
            "the one without sessions": access.form_token(None),
        }.get(brought, brought)
        assert (await client.post("/page/logout", data={"form_token": given})).status_code == 403
        assert (await client.get("/page/runs")).status_code == 200


async def test_who_may_read_changes_nothing_but_sees_all(world: World) -> None:
    async with client_of(app := app_of(world, "write", "read")) as client:
        session = (await log_in(client, "read")).cookies[COOKIE]
        assert (await client.get(f"/page/runs/{RUN}/candidates.csv")).status_code == 200
        token = app.state.desk.access.form_token(session)
        for method, path in changes(app):
            answer = await client.request(method, path.format(**VALUES), data={"form_token": token})
            assert answer.status_code == (303 if path == LOGOUT else 403), path


async def test_where_no_token_is_set_nobody_logs_in(world: World) -> None:
    async with client_of(app_of(world)) as client:
        assert (await client.get("/page/login")).headers["location"] == "/page/runs"
        found = Seen((await client.get("/page/runs")).text)
        assert "Log out" not in found.text


async def test_a_part_leads_the_whole_page_to_the_login(world: World) -> None:
    async with client_of(app_of(world, "write")) as client:
        answer = await client.get(f"/page/runs/{RUN}", headers={"HX-Request": "true"})
        assert answer.status_code == 401
        assert answer.headers["hx-redirect"].startswith("/page/login?next=%2Fpage%2Fruns%2F")
