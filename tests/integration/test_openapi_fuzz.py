"""Every operation of the registry's API, with values good and bad: it answers as its document says, and never with 5xx.

The streams of events never end and are left out.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from archloop.contracts.base import candidate_id
from archloop.ops.http import listening
from services.registry.api import create
from tests.unit.registry.world import RUN, World, evaluation, spec

DOCUMENT = Path(__file__).parents[2] / "docs/reference/openapi.json"
SCHEMA = schemathesis.openapi.from_path(DOCUMENT).exclude(path_regex="/events$")
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
SECOND_RUN = "run-2"
TOKEN = "a-token"
pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]
thrifty = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


class Api:
    """The API of a registry with some runs on record, served from a thread of its own, which the store is bound to."""

    def __init__(self, folder: Path, token: str | None) -> None:
        self._folder, self._token = folder, token
        self._ready: Future[tuple[str, Mapping[str, Any]]] = Future()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> tuple[str, Mapping[str, Any]]:
        """The URL, and values of parameters that lead to something."""
        self._thread.start()
        return self._ready.result(60)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        try:
            world = World(self._folder)
            for run_id in (RUN, SECOND_RUN):
                await world.request(spec(), run_id)
            await world.run_to_end()
            known = await _known(world)
        except BaseException as error:
            self._ready.set_exception(error)
            raise

        async def publish(_: object) -> None: ...

        token = SecretStr(self._token) if self._token else None
        api = create(world.store, world.blobs, publish, token=token, read_token=token)
        async with listening(api, "127.0.0.1", 0, "port") as url:
            self._ready.set_result((url, known))
            await self._over.wait()
        await world.store.close()


def _lead_on(case: schemathesis.Case, known: Mapping[str, Any]) -> bool:
    """Name what is on record, and in bodies a protocol; whether there was anything to name."""
    body = case.body if isinstance(case.body, dict) else {}
    given = [part for part in (case.path_parameters, case.query, body, body.get("spec")) if isinstance(part, dict)]
    named = [
        (part, name) for part in given for name in part if name in known and (part is not body or name == "protocol")
    ]
    for part, name in named:
        part[name] = known[name]
    return bool(named)


async def _known(world: World) -> Mapping[str, Any]:
    candidate = candidate_id(RUN, 0, 0)
    source = await world.store.source(candidate)
    assert source is not None
    ref = await world.blobs.put("code/some.py", b"class Net: ...\n")
    protocol = evaluation(source.code.text or "").protocol_sha256
    of_code = {"code_sha256": source.code.sha256, "protocol_sha256": protocol, "sha256": ref.sha256}
    return {"run_id": RUN, "candidate_id": candidate, "key": ref.key, "protocol": "digits", **of_code}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with Api(tmp_path_factory.mktemp("registry"), None) as api:
        yield api


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with Api(tmp_path_factory.mktemp("registry"), TOKEN) as api:
        yield api


@SCHEMA.parametrize()
@thrifty
def test_an_operation_answers_as_documented(case: schemathesis.Case, api: tuple[str, Mapping[str, Any]]) -> None:
    """To values that the document allows and to others, and for what is on record."""
    url, known = api
    case.call_and_validate(base_url=url, checks=CHECKS)
    if _lead_on(case, known):
        case.call_and_validate(base_url=url, checks=CHECKS)


@SCHEMA.parametrize()
@settings(thrifty, max_examples=10)
def test_an_operation_that_needs_a_token_answers_as_documented_without_it(
    case: schemathesis.Case, guarded: tuple[str, Mapping[str, Any]]
) -> None:
    url, _ = guarded
    response = case.call_and_validate(base_url=url, checks=CHECKS)
    if case.operation.path in {"/runs", "/submissions"} and case.method == "POST":
        assert response.status_code in {400, 401, 422}  # 400: no text at all
