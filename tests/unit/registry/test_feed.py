"""Events for many who follow them, from one look at the log."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import RunRequested
from archloop.errors import Unavailable
from archloop.ops.http import listening
from services.registry.api import bounded, create, feed, pieces, streams
from services.registry.api.feed import Busy, Feed
from services.registry.records import Event
from services.registry.stores.sqlite import SqliteStore
from tests.unit.registry.world import spec

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class Log(SqliteStore):
    """Counts what it is asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.looks: list[tuple[int, str | None]] = []
        self.away = False

    async def events(self, after: int = 0, *, run_id: str | None = None, limit: int = 1000) -> list[Event]:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        self.looks.append((after, run_id))
        return await super().events(after, run_id=run_id, limit=limit)

    async def say(self, *runs: str) -> None:
        """One event of each."""
        for run in runs:
            await self.record(RunRequested(run_id=run, spec=spec()), NOW)


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    monkeypatch.setattr(feed, "_POLL_S", 0.01)
    store = Log(tmp_path / "registry.sqlite")
    yield store
    await store.close()


async def heard(feed: Feed, count: int, run_id: str | None = None, place: int = 0) -> list[int]:
    """Where in the log the events are that a follower is sent, until they are so many."""
    found: list[int] = []
    while len(found) < count:
        data, place = await feed.after(place, run_id)
        found += map(int, re.findall(rb"^id: (\d+)", data, re.MULTILINE))
        assert len(data) < 2 * pieces._PIECE_BYTES
    return found


def runs(count: int, name: str = "run") -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


@pytest.mark.parametrize("before", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("events", [1, 100, 1000])
async def test_whoever_comes_whenever_hears_everything_once_and_in_order(
    log: Log, monkeypatch: pytest.MonkeyPatch, before: int, events: int
) -> None:
    monkeypatch.setattr(feed, "_EVENTS", events)
    await log.say(*runs(before))
    source = Feed(log, 10)
    async with source.followed():
        early = asyncio.create_task(heard(source, before + 30))
        middle = asyncio.create_task(heard(source, before // 2 + 30, place=before - before // 2))
        for name in runs(30, "later"):
            await log.say(name)
            await asyncio.sleep(0.001)
        late = await heard(source, before + 30)
        assert await early == late == list(range(1, before + 31))
        assert await middle == late[before - before // 2 :]


@pytest.mark.parametrize("kept", [0, 10**6])
async def test_who_follows_one_run_hears_its_events_and_no_others(
    log: Log, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(pieces, "_KEPT_BYTES", kept)
    monkeypatch.setattr(feed, "_EVENTS", 3)
    await log.say(*runs(7))
    source = Feed(log, 10)
    async with source.followed():
        hearing = [asyncio.create_task(heard(source, 1, name)) for name in ("run-0", "run-6", "later-0", "later-4")]
        while not source._waiting:
            await asyncio.sleep(0)
        await log.say(*runs(5, "later"))
        assert [await each for each in hearing] == [[1], [7], [8], [12]]


async def test_a_hundred_followers_cost_one_look_each_time(log: Log) -> None:
    await log.say(*runs(250))
    source = Feed(log, 100)
    async with source.followed():
        hearing = [asyncio.create_task(heard(source, 251)) for _ in range(100)]
        while len(source._waiting) < 100:
            await asyncio.sleep(0)
        behind = [look for look in log.looks if look[0] < 250]
        assert 3 <= len(behind) == len(set(behind)) < 10
        await log.say("last")
        assert {len(each) for each in await asyncio.gather(*hearing)} == {251}
        assert [look for look in log.looks if look[0] < 250] == behind


async def test_pieces_are_bounded_though_one_event_is_larger(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await log.say(*runs(20))
    (one, *_) = await log.events(limit=1)
    size = len(pieces.encoded(one))
    monkeypatch.setattr(pieces, "_PIECE_BYTES", 3 * size + 10)
    source = Feed(log, 1)
    async with source.followed():
        assert len((await source.after(0)).data) <= 3 * size + 10
        assert await heard(source, 20) == list(range(1, 21))
        monkeypatch.setattr(pieces, "_PIECE_BYTES", 1)
        source._pieces = pieces.PieceCache()
        assert (await source.after(0)).last == 1


async def test_one_that_is_left_by_who_asked_first_is_read_for_the_others(log: Log) -> None:
    await log.say(*runs(3))
    source = Feed(log, 10)
    async with source.followed():
        hearing = [asyncio.create_task(heard(source, 3)) for _ in range(10)]
        while not source._asked:
            await asyncio.sleep(0)
        for each in hearing[:5]:
            each.cancel()
        assert await asyncio.gather(*hearing[5:]) == [[1, 2, 3]] * 5


async def test_while_the_store_is_away_who_waits_goes_on_waiting(log: Log) -> None:
    source = Feed(log, 10)
    async with source.followed():
        hearing = asyncio.create_task(heard(source, 1))
        while not source._waiting:
            await asyncio.sleep(0)
        log.away = True
        await log.say("run")
        await asyncio.sleep(0.05)
        assert not hearing.done()
        log.away = False
        assert await hearing == [1]


async def test_when_the_last_has_gone_nobody_looks_and_nothing_is_kept(log: Log) -> None:
    source = Feed(log, 2)
    for _ in range(3):
        async with source.followed(), source.followed():
            with pytest.raises(Busy):
                await source.followed().__aenter__()
            await asyncio.sleep(0.02)
        looks = len(log.looks)
        await asyncio.sleep(0.03)
        assert (len(log.looks), source.places, source._waiting) == (looks, set(), {})


@pytest.fixture
async def app(log: Log, tmp_path: Path) -> FastAPI:
    async def publish(_: object) -> None: ...

    app = create(log, DirectoryBlobs(tmp_path), publish)
    bounded(app, followers=3)
    return app


async def test_one_too_many_is_told_to_come_again_and_has_a_place_once_one_is_free(app: FastAPI, log: Log) -> None:
    await log.say("run")
    async with listening(app, "127.0.0.1", 0, "PORT") as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        for path in ("/events", "/runs/run/events"):
            async with client.stream("GET", path), client.stream("GET", path), client.stream("GET", path):
                refused = await client.get(path)
                assert (refused.status_code, refused.json()["code"]) == (503, "busy")
                assert refused.headers["retry-after"]
                assert (await client.get("/runs")).status_code == 200
            async with asyncio.timeout(20):
                while app.state.feed.places:
                    await asyncio.sleep(0.01)
            async with client.stream("GET", path) as again:
                assert again.status_code == 200


async def test_who_reads_nothing_loses_the_place(app: FastAPI, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_SEND_S", 0.2)
    monkeypatch.setattr(pieces, "encoded", lambda event: b"id: %d\n%s\n\n" % (event.seq, b"x" * 2**20))
    await log.say(*runs(60))
    async with listening(app, "127.0.0.1", 0, "PORT") as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readline()
        assert len(app.state.feed.places) == 1
        async with asyncio.timeout(20):
            while app.state.feed.places:
                await asyncio.sleep(0.01)
        writer.close()


async def test_what_takes_too_long_is_a_503_and_a_stream_is_not(
    app: FastAPI, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(app, request_s=0.1)
    await log.say("run")
    monkeypatch.setattr(log, "runs", lambda **_: asyncio.sleep(60))
    async with listening(app, "127.0.0.1", 0, "PORT") as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        late = await client.get("/runs")
        assert (late.status_code, late.json()["code"]) == (503, "deadline")
        assert late.headers["retry-after"]

        async def trickled() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"["
                await asyncio.sleep(0.02)

        assert (await client.post("/runs", content=trickled())).status_code == 503
        async with client.stream("GET", "/events") as stream:
            await asyncio.sleep(0.3)
            await log.say("next")
            async for line in stream.aiter_lines():
                if line == "id: 2":
                    break


async def test_when_the_feed_ends_so_do_all_who_follow_be_they_reading_or_not(
    app: FastAPI, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "encoded", lambda event: b"id: %d\n%s\n\n" % (event.seq, b"x" * 2**20))
    await log.say(*runs(30))
    async with listening(app, "127.0.0.1", 0, "PORT") as url:
        port = int(url.rpartition(":")[2])
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for (_, writer), last in zip(streams, (0, 0, 30), strict=True):
            writer.write(b"GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %d\r\n\r\n" % last)
        async with asyncio.timeout(20):
            while len(app.state.feed.places) < 3:
                await asyncio.sleep(0.01)
            app.state.feed.close()
            while app.state.feed.places:
                await asyncio.sleep(0.01)
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            assert (await client.get("/events")).status_code == 503


async def test_who_waits_for_long_is_sent_something_in_between(
    app: FastAPI, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.05)
    await log.say("run")
    async with (
        listening(app, "127.0.0.1", 0, "PORT") as url,
        httpx.AsyncClient(timeout=20) as client,
        client.stream("GET", f"{url}/events", headers={"Last-Event-ID": "1"}) as stream,
    ):
        assert (await anext(stream.aiter_lines())).startswith(":")
