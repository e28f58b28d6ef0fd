"""Our CPU server when there is too much, when the model breaks, and when a client hangs up."""

import asyncio
import json
from contextlib import asynccontextmanager

import httpx2
import pytest

from services.generator.modelserver.app import application
from services.generator.modelserver.fleet import Fleet
from services.generator.modelserver.models import load_base

BODY = {"inputs": "class Net:", "parameters": {"max_new_tokens": 200}}
LIMIT = 2


class Breaking:
    """A decoder that fails at every step."""

    def __init__(self, decoder) -> None:
        self._decoder = decoder

    def __getattr__(self, name):
        return getattr(self._decoder, name)

    def step(self, fed, cache):
        raise RuntimeError("the model is broken")


@pytest.fixture
def base(base_model):
    return load_base(str(base_model), 2048)


@asynccontextmanager
async def serving(base):
    app = application(Fleet(base, slots=8, threads=1), LIMIT)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def app(base):
    async with serving(base) as app:
        yield app


def client(app):
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server", timeout=60)


async def running(http):
    return (await http.get("/info")).json()["running_requests"]


async def test_more_requests_than_the_limit_are_refused_and_the_others_answered(app):
    async with client(app) as http:
        answers = await asyncio.gather(*(http.post("/generate", json=BODY) for _ in range(LIMIT + 3)))
        assert sorted(answer.status_code for answer in answers) == [200] * LIMIT + [429] * 3
        assert next(a for a in answers if a.status_code == 429).json()["error_type"] == "overloaded"
        assert (await http.post("/generate", json=BODY)).status_code == 200


async def test_a_broken_model_is_a_generation_error_on_every_route(base):
    async with serving(base._replace(decoder=Breaking(base.decoder))) as app, client(app) as http:
        answer = await http.post("/generate", json=BODY)
        assert (answer.status_code, answer.json()) == (
            424,
            {"error": "the model is broken", "error_type": "generation"},
        )
        stream = (await http.post("/generate_stream", json=BODY)).text.strip().split("\n\n")
        assert json.loads(stream[-1].removeprefix("data:")) == answer.json()
        chat = {"messages": [{"role": "user", "content": "x"}], "stream": True}
        events = (await http.post("/v1/chat/completions", json=chat)).text.strip().split("\n\n")
        assert json.loads(events[-2].removeprefix("data:"))["error"]["http_status_code"] == 424
        assert (await http.get("/health")).status_code == 200


async def test_a_client_that_hangs_up_frees_its_place(app):
    async with client(app) as http:
        statuses = []
        sent = iter([{"type": "http.request", "body": json.dumps(BODY).encode()}])

        async def receive():
            if (message := next(sent, None)) is not None:
                return message
            while not await running(http):
                await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(message):
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/generate", "query_string": b"", "http_version": "1.1"}
        scope |= {"headers": [(b"content-type", b"application/json")], "scheme": "http", "server": ("server", 80)}
        await app(scope, receive, send)
        assert statuses[0] == 499
        assert await running(http) == 0


async def test_a_server_whose_engines_have_stopped_is_unhealthy(base):
    async with serving(base) as app:
        pass
    async with client(app) as http:
        while (answer := await http.get("/health")).status_code == 200:
            await asyncio.sleep(0.01)
        assert (answer.status_code, answer.json()["error_type"]) == (503, "healthcheck")
