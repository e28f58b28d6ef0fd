"""Who may do what over HTTP: every operation that the app has, for everybody who may ask."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import BaseRoute, Route

from archloop.blobs.directory import DirectoryBlobs
from services.registry.api import create
from services.registry.stores.sqlite import SqliteStore

Role = Literal["anyone", "reader", "writer"]
# A new operation needs a row.
RIGHTS: dict[tuple[str, str], Role] = {
    ("GET", "/runs"): "anyone",
    ("GET", "/runs/{run_id}"): "anyone",
    ("GET", "/runs/{run_id}/summary"): "anyone",
    ("GET", "/runs/{run_id}/cycles"): "anyone",
    ("GET", "/runs/{run_id}/candidates"): "anyone",
    ("GET", "/runs/{run_id}/events"): "anyone",
    ("GET", "/architectures"): "anyone",
    ("GET", "/adapters"): "anyone",
    ("GET", "/candidates/{candidate_id}"): "anyone",
    ("GET", "/candidates/{candidate_id}/code"): "reader",
    ("GET", "/candidates/{candidate_id}/scores"): "anyone",
    ("POST", "/candidates/{candidate_id}/scores"): "writer",
    ("GET", "/blobs/{key}"): "reader",
    ("GET", "/evaluations"): "anyone",
    ("GET", "/queues"): "anyone",
    ("GET", "/services"): "anyone",
    ("GET", "/events"): "anyone",
    ("POST", "/runs"): "writer",
    ("POST", "/pairs"): "writer",
    ("POST", "/submissions"): "writer",
    ("GET", "/runs/{run_id}/acts"): "anyone",
    ("POST", "/runs/{run_id}/pause"): "writer",
    ("POST", "/runs/{run_id}/resume"): "writer",
    ("POST", "/runs/{run_id}/cancel"): "writer",
    ("POST", "/runs/{run_id}/changes"): "writer",
    ("POST", "/runs/{run_id}/revert"): "writer",
    ("POST", "/runs/{run_id}/candidates"): "writer",
    ("PUT", "/runs/{run_id}/exemplars/{candidate_id}"): "writer",
    ("DELETE", "/runs/{run_id}/exemplars/{candidate_id}"): "writer",
    ("GET", "/livez"): "anyone",
    ("GET", "/readyz"): "anyone",
    ("GET", "/metrics"): "anyone",
    ("GET", "/openapi.json"): "anyone",
}
GIVEN = {
    "nobody": {},
    "wrong": {"Authorization": "Bearer other"},
    "a prefix": {"Authorization": "Bearer writ"},
    "no bearer": {"Authorization": "Basic write"},
    "bare": {"Authorization": "write"},
    "reader": {"Authorization": "Bearer read"},
    "writer": {"Authorization": "Bearer write"},
}
MAY: dict[str, set[Role]] = {"reader": {"anyone", "reader"}, "writer": {"anyone", "reader", "writer"}}
VALUES = {"run_id": "none", "candidate_id": f"{'0' * 8}-0000-0000-0000-{'0' * 12}", "key": "code/none"}


App = Callable[[tuple[str, ...]], FastAPI]


@pytest.fixture(scope="module")
def app_of(tmp_path_factory: pytest.TempPathFactory) -> App:
    """By its tokens: for writing, for reading."""
    folder = tmp_path_factory.mktemp("rights")
    store = SqliteStore(folder / "registry.sqlite")

    async def publish(_: object) -> None:
        raise AssertionError("nothing that is asked for here is complete enough to be said")

    @cache
    def made(tokens: tuple[str, ...]) -> FastAPI:
        secrets = dict(zip(("token", "read_token"), map(SecretStr, tokens), strict=False))
        return create(store, DirectoryBlobs(folder / "blobs"), publish, **secrets)

    return made


async def status(app: FastAPI, method: str, path: str, headers: dict[str, str]) -> int:
    """Of a request that is not valid beyond its rights, so that nothing comes of it, and no stream begins."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.request(
            method, path.format(**VALUES), headers={**headers, "Last-Event-ID": "x"}, content=b"{"
        )
    return answer.status_code


def operations(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            found |= operations(included.routes)
        else:
            assert isinstance(route, Route), f"{route}: how is it asked for?"
            found |= {(method, route.path.replace(":path", "")) for method in (route.methods or set()) - {"HEAD"}}
    return found


def test_every_operation_has_a_row(app_of: App) -> None:
    assert operations(app_of(()).routes) == set(RIGHTS)


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize(("method", "path"), RIGHTS)
async def test_with_tokens_an_operation_is_for_whom_its_row_says(
    app_of: App, method: str, path: str, given: str
) -> None:
    app = app_of(("write", "read"))
    allowed = RIGHTS[method, path] in MAY.get(given, {"anyone"})
    assert (await status(app, method, path, GIVEN[given]) != 401) is allowed


@pytest.mark.parametrize(("method", "path"), RIGHTS)
async def test_without_a_token_for_reading_that_for_writing_is_needed(app_of: App, method: str, path: str) -> None:
    app = app_of(("write",))
    free = RIGHTS[method, path] == "anyone"
    assert (await status(app, method, path, {}) != 401) is free
    assert await status(app, method, path, GIVEN["writer"]) != 401


@pytest.mark.parametrize(("method", "path"), RIGHTS)
async def test_without_tokens_everything_is_open(app_of: App, method: str, path: str) -> None:
    assert await status(app_of(()), method, path, {}) not in {401, 403}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "LINK"])
@pytest.mark.parametrize("path", ["/runs", "/runs/none", "/nowhere", "/candidates/x/code"])
async def test_what_is_no_reading_needs_the_token_whether_there_is_such_an_operation_or_not(
    app_of: App, method: str, path: str
) -> None:
    app = app_of(("write", "read"))
    assert await status(app, method, path, GIVEN["reader"]) == 401
    assert await status(app, method, path, GIVEN["writer"]) != 401


def test_the_document_tells_who_needs_a_token(app_of: App) -> None:
    paths = app_of(()).openapi()["paths"]
    told = {
        (method.upper(), path): bool(operation.get("security")) and "401" in operation["responses"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
    assert {route for route, needed in told.items() if needed} == {r for r, role in RIGHTS.items() if role != "anyone"}
