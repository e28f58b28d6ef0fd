"""No number in a request, at its bounds or beyond, is more than the client's mistake."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from archloop.contracts.envelope import Envelope
from services.registry.api import create
from services.registry.api.requests import RunRequest, SubmissionRequest
from tests.unit.ground.fields import numbers, put
from tests.unit.registry.test_api import SUBMISSION
from tests.unit.registry.world import World, spec

BODIES = {
    "/runs": (RunRequest, {"run_id": "numbers", "spec": spec(gate={"candidates": 4}).model_dump(mode="json")}),
    "/submissions": (SubmissionRequest, SUBMISSION | {"submission": "numbers", "novelty": {"scope": "global"}}),
}
CASES = [(path, found) for path, (model, _) in BODIES.items() for found in numbers(model)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("numbers"))


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async def publish(_: Envelope) -> None:
        pass

    transport = httpx.ASGITransport(create(world.store, world.blobs, publish), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize(("path", "found"), CASES, ids=[f"{p}:{'.'.join(map(str, f.path))}" for p, f in CASES])
async def test_a_number_is_taken_or_refused_by_its_field(client: httpx.AsyncClient, path: str, found) -> None:
    refused = 0
    for value in dict.fromkeys(found.values()):
        body = json.dumps(put(BODIES[path][1], found.path, "@here@")).replace('"@here@"', value)
        answer = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {202, 400, 409, 422}, (value[:40], answer.text)
        if answer.status_code in {400, 422}:
            refused += 1
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(answer.content) < 4000
    assert refused > 5


@pytest.mark.parametrize(
    "pairs", ["[]", "{}", "null", "1e999", '"x"', "[1]", '[{"prompt": 1, "completion": 2}]', "-0.0"]
)
async def test_pairs_that_are_none_are_refused(client: httpx.AsyncClient, pairs: str) -> None:
    answer = await client.post("/pairs", content=f'{{"pairs": {pairs}}}', headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
