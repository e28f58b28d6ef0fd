"""What a port asks of a request before anything of it is read."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from archloop.ops.doors import Doors, Guarded, names

NAMED = names("registry, .svc,Archloop.Example.org")


@pytest.mark.parametrize(
    ("host", "loopback", "named"),
    [
        ("localhost", True, True),
        ("localhost:8000", True, True),
        ("LOCALHOST.:80", True, True),
        ("a.localhost", True, True),
        ("127.0.0.1:65535", True, True),
        ("127.1", True, True),
        ("[::1]:8000", True, True),
        ("[::ffff:127.0.0.1]", True, True),
        ("10.1.2.3:8000", False, True),
        ("10.1:8000", False, True),
        ("10.1.evil.example", False, False),
        ("[2001:db8::1]:8000", False, True),
        ("registry:8000", False, True),
        ("registry.archloop.svc", False, True),
        ("archloop.example.ORG", False, True),
        ("evil.example", False, False),
        ("evil.example:8000", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("localhost.evil.example", False, False),
        ("evil-localhost", False, False),
        ("notarchloop.example.org", False, False),
        ("registry.evil.example", False, False),
        ("svc", False, False),
        ("localhost@evil.example", False, False),
        ("localhost, evil.example", False, False),
        ("localhost evil.example", False, False),
        ("localhost/evil", False, False),
        ("localhost:80:80", False, False),
        ("[::1", False, False),
        ("::1", False, False),
        ("lоcalhost", False, False),
        ("\x00", False, False),
        ("", False, False),
    ],
)
def test_whose_name_a_port_answers_to(host: str, loopback: bool, named: bool) -> None:
    assert Doors("127.0.0.1").answers_to(host) is Doors("::1").answers_to(host) is loopback
    assert Doors("0.0.0.0", NAMED).answers_to(host) is named
    assert Doors("0.0.0.0").answers_to(host)


@pytest.mark.parametrize(
    ("origin", "loopback", "open_to_all"),
    [
        ("http://localhost:8000", True, False),
        ("http://127.0.0.1:3000", True, False),
        ("http://registry:8000", False, True),
        ("https://registry:8000", False, True),
        ("http://evil.example", False, False),
        ("http://registry.evil.example:8000", False, False),
        ("http://user@registry:8000", False, False),
        ("null", False, False),
        ("", False, False),
        ("file://", False, False),
        ("chrome-extension://registry:8000", False, False),
        ("http://[", False, False),
        ("registry:8000", False, False),
    ],
)
def test_from_whose_pages_a_port_lets_itself_be_written_to(origin: str, loopback: bool, open_to_all: bool) -> None:
    assert Doors("127.0.0.1").takes_from(origin, "localhost:8000") is loopback
    assert Doors("0.0.0.0").takes_from(origin, "registry:8000") is open_to_all


class Reader:
    """An app that reads the whole body and says how long it is; `reads` is how much was let through to it."""

    def __init__(self) -> None:
        self.reads, self.let_go = 0, asyncio.Event()
        self.let_go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        async for chunk in Request(scope, receive).stream():
            size += len(chunk)
            self.reads += len(chunk)
        await self.let_go.wait()
        await PlainTextResponse(str(size))(scope, receive, send)


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def client(reader: Reader) -> AsyncIterator[httpx.AsyncClient]:
    async def caught(scope: Scope, receive: Receive, send: Send) -> None:
        await ExceptionMiddleware(reader)(scope, receive, send)

    transport = httpx.ASGITransport(Guarded(caught, Doors(body_bytes=1000)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def chunks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1, 200), (1000, 200), (1001, 413), (10**6, 413)])
async def test_a_body_is_as_long_as_it_says_or_as_it_turns_out_to_be(
    client: httpx.AsyncClient, reader: Reader, size: int, status: int
) -> None:
    assert (await client.post("/", content=b"x" * size)).status_code == status
    assert reader.reads == (size if status == 200 else 0)
    assert (await client.post("/", content=chunks(size, 1))).status_code == status
    assert reader.reads <= 2000


async def test_bytes_count_and_not_characters(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", content="ä" * 500)).status_code == 200
    assert (await client.post("/", content="ä" * 501)).status_code == 413


async def test_bodies_that_are_held_at_once_are_bounded_together_and_forgotten_afterwards(
    client: httpx.AsyncClient, reader: Reader
) -> None:
    for _ in range(2):
        reader.let_go.clear()
        asking = [asyncio.create_task(client.post("/", content=b"x" * 900)) for _ in range(5)]
        while reader.reads % 4500 < 1800:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        reader.let_go.set()
        statuses = sorted([(await each).status_code for each in asking])
        assert statuses == [200, 200, 503, 503, 503]
        reader.reads = 0


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "evil.example"}, 421),
        ("POST", {"Host": "evil.example"}, 421),
        ("GET", {"Host": ""}, 421),
        ("GET", {"Origin": "http://evil.example"}, 200),
        ("POST", {"Origin": "http://evil.example"}, 403),
        ("PUT", {"Origin": "null"}, 403),
        ("DELETE", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Origin": "http://localhost:3000"}, 200),
        ("POST", {"Content-Length": "9" * 30}, 200),
        ("POST", {"Content-Length": "1001"}, 413),
        ("POST", {"Content-Length": "-1"}, 200),
    ],
)
async def test_a_refusal_is_a_problem_and_comes_before_the_app(
    client: httpx.AsyncClient, method: str, headers: dict[str, str], status: int
) -> None:
    answer = await client.request(method, "/", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status
