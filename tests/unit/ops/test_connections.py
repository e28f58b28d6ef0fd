"""Connections that would never end by themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from archloop.ops import connections, http
from archloop.ops.http import listening

LARGE = 2**24
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads no body, answers much at /large."""
    large = Request(scope).url.path == "/large"
    response = Response(b"x" * LARGE) if large else JSONResponse("ok")
    await response(scope, receive, send)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(connections, "PATIENCE_S", 0.4)
    monkeypatch.setattr(http, "unread_no_longer_than", lambda s: connections.unread_no_longer_than(s, 1.0))
    async with listening(app, "127.0.0.1", 0, "PORT") as url:
        yield int(url.rpartition(":")[2])


async def ended(reader: asyncio.StreamReader) -> None:
    """Whether politely or not."""
    with suppress(ConnectionError):
        while await reader.read(2**16):
            pass


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"G",
        HEAD,
        HEAD + b"X-Slow: ",
        HEAD + b"\r\n" + HEAD,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
    ids=["nothing", "a letter", "half a head", "half a header", "half a second head", "half a body", "half a chunk"],
)
async def test_who_says_half_a_thing_is_left(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with asyncio.timeout(20):
        await ended(reader)
    writer.close()


async def test_who_trickles_a_head_is_left(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def trickle() -> None:
        writer.write(HEAD + b"X-Slow: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(20):
        await ended(reader)
    trickling.cancel()


async def test_who_does_not_read_is_left(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
    writer.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readline()
    async with asyncio.timeout(25):
        while not writer.transport.is_closing():
            writer.write(b"\r\n")
            await asyncio.sleep(0.1)
    assert writer.transport.is_closing()


async def test_who_asks_again_and_again_or_reads_slowly_is_served_to_the_end(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(15):
        writer.write(HEAD + b"\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        while await reader.readline() != b"\r\n":
            pass
        assert await reader.readexactly(4) == b'"ok"'
        await asyncio.sleep(0.1)
    writer.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    while await reader.readline() != b"\r\n":
        pass
    for _ in range(8):
        await reader.readexactly(LARGE // 8)
        await asyncio.sleep(0.15)
    writer.close()
