"""What processes tell of themselves, and who is taken to be there."""

import asyncio
import os

import pytest

from archloop import __version__, gpus
from archloop.bus.memory import MemoryBus
from archloop.bus.port import BusUnavailable
from archloop.errors import Unavailable
from archloop.gpus import Gpu, GpuUse
from archloop.metrics import IN_HAND
from archloop.ops.presence import Presence, Roster, announced

GPU = GpuUse(Gpu(0, "G", 80.0, 30.0, "GPU-7"), 0.25)


def presence(process: int = 1, **about: object) -> bytes:
    told = {"service": "evaluator", "host": "h", "process": process, "version": "1", "in_hand": {"evaluator": 2}}
    return Presence(**told | about).model_dump_json().encode()


def test_a_process_tells_where_it_is_what_it_holds_and_how_busy_its_gpus_are(monkeypatch):
    monkeypatch.setattr(gpus, "in_use", lambda: (GPU,))
    IN_HAND.labels("presences").set(3)
    here = Presence.here("trainer")
    assert (here.service, here.process, here.version, here.gpus) == ("trainer", os.getpid(), __version__, (GPU,))
    assert here.in_hand["presences"] == 3
    assert Presence.model_validate_json(here.model_dump_json()) == here


def test_a_driver_that_does_not_answer_is_no_reason_to_be_silent(monkeypatch):
    def away() -> None:
        raise Unavailable("the driver")

    monkeypatch.setattr(gpus, "in_use", away)
    assert Presence.here("trainer").gpus == ()


def test_each_process_is_there_once_with_what_it_told_last():
    roster = Roster()
    for body in (presence(2), presence(1), presence(2, in_hand={"evaluator": 5}), presence(2, host="other")):
        roster.hear(body)
    assert [(each.host, each.process, each.in_hand["evaluator"]) for each in roster.present()] == [
        ("h", 1, 2),
        ("h", 2, 5),
        ("other", 2, 2),
    ]


async def test_who_is_silent_for_a_while_is_gone():
    roster = Roster(gone_s=0.05)
    roster.hear(presence(1))
    await asyncio.sleep(0.06)
    roster.hear(presence(2))
    assert [each.process for each in roster.present()] == [2]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff",
        presence(1).replace(b'"evaluator":2', b'"evaluator":-1'),
        presence(1).replace(b'"process":1', b'"process":0'),
        presence(1).replace(b'"h"', b'"' + b"h" * 2000 + b'"'),
        presence(1, in_hand={f"{number}": 1 for number in range(9000)}),
        b"[" * 2**17,
    ],
    ids=["empty", "nothing", "no text", "negative", "no process", "long name", "large", "deep"],
)
def test_what_is_no_presence_is_left_out(body):
    roster = Roster()
    roster.hear(body)
    assert roster.present() == []


def test_others_cannot_fill_the_memory():
    roster = Roster()
    for process in range(1, 1200):
        roster.hear(presence(process))
    roster.hear(presence(7, in_hand={"evaluator": 9}))
    found = {each.process: each.in_hand["evaluator"] for each in roster.present()}
    assert (len(found), found[7]) == (1000, 9)


class Away(MemoryBus):
    """A broker that comes back after two signals."""

    tries = 0

    async def signal(self, body: bytes) -> None:
        self.tries += 1
        if self.tries < 3:
            raise BusUnavailable("away")
        await super().signal(body)


async def test_it_is_told_again_and_again_also_once_a_broker_is_back():
    bus, roster = Away(), Roster()
    await bus.listen(roster.hear)
    async with announced(bus, "novelty", every_s=0.01), asyncio.timeout(20):
        while bus.tries < 4:
            await asyncio.sleep(0.01)
    assert [(each.service, each.process) for each in roster.present()] == [("novelty", os.getpid())]
