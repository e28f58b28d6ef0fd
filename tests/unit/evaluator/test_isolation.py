"""What must be out of reach is tried, and whatever answers keeps the evaluator from starting."""

import asyncio
import socket
from contextlib import contextmanager

import pytest

from archloop.contracts.values import SandboxLevel
from archloop.errors import Misconfigured, SandboxUnavailable
from services.evaluator import isolation
from services.evaluator.isolation import NotIsolated, nobody_answers
from services.evaluator.sandbox.container_checks import missing_protections
from services.evaluator.settings import EvaluatorSettings
from tests.escape.arena import skip_or_fail


@contextmanager
def listening(host="127.0.0.1", family=socket.AF_INET, backlog=5):
    """A port that answers."""
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen(backlog)
        yield server.getsockname()[1]


def closed_port() -> int:
    with listening() as port:
        return port


def settings(*places: str, within_s: float = 0.3, **more) -> EvaluatorSettings:
    return EvaluatorSettings(out_of_reach=",".join(places), out_of_reach_s=within_s, slots=1, **more)


async def test_what_listens_is_named():
    said = "can be reached from here, which no evaluator may"
    with listening() as port, pytest.raises(NotIsolated, match=f"127.0.0.1:{port} {said}"):
        await nobody_answers(settings(f"127.0.0.1:{closed_port()}", f"127.0.0.1:{port}"))


async def test_every_address_of_a_name_is_tried():
    with listening() as port, pytest.raises(NotIsolated, match=f"localhost:{port}"):
        await nobody_answers(settings(f"localhost:{port}"))


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_an_address_of_the_new_protocol_is_tried():
    try:
        with listening("::1", socket.AF_INET6) as port, pytest.raises(NotIsolated, match=rf"\[::1\]:{port}"):
            await nobody_answers(settings(f"[::1]:{port}"))
    except OSError as error:
        pytest.skip(f"no ::1 here: {error}")


async def test_a_refusal_is_a_wall():
    await nobody_answers(settings(f"127.0.0.1:{closed_port()}"))


async def test_silence_is_a_wall_and_is_not_waited_for_longer_than_allowed():
    """A listener whose queue is full answers no more, as where a policy drops what comes."""
    with listening(backlog=0) as port, socket.create_connection(("127.0.0.1", port)), socket.socket() as second:
        second.setblocking(False)
        second.connect_ex(("127.0.0.1", port))
        start = asyncio.get_running_loop().time()
        await nobody_answers(settings(f"127.0.0.1:{port}"))
        assert 0.25 < asyncio.get_running_loop().time() - start < 5


async def test_a_name_that_nobody_knows_proves_nothing():
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_EVALUATOR_OUT_OF_REACH: mongo.invalid:27017 is not known"):
        await nobody_answers(settings("mongo.invalid:27017"))


async def test_a_port_that_cannot_be_is_told():
    with pytest.raises(Misconfigured, match="Port out of range"):
        await nobody_answers(settings("127.0.0.1:99999"))


@pytest.mark.parametrize("places", ["mongo", "mongo:", "mongo:27017,", "http://mongo:27017", "a b:1"])
def test_what_is_no_place_is_told(places):
    with pytest.raises(Misconfigured, match="ARCHLOOP_EVALUATOR_OUT_OF_REACH"):
        EvaluatorSettings.load(out_of_reach=places)


async def test_a_level_that_is_not_to_be_had_is_a_failure():
    missing = missing_protections()
    if not missing:
        pytest.skip("this is a hardened container")
    with pytest.raises(SandboxUnavailable, match=missing[0]):
        await isolation.check(settings(required_level=SandboxLevel.CONTAINER))


async def test_where_the_walls_stand_nothing_is_said():
    try:
        await isolation.check(settings(f"127.0.0.1:{closed_port()}"))
    except SandboxUnavailable as error:
        skip_or_fail(str(error))


def test_the_exit_code_is_what_keeps_the_pod_from_starting(monkeypatch, capsys):
    with listening() as port:
        monkeypatch.setenv("ARCHLOOP_EVALUATOR_OUT_OF_REACH", f"127.0.0.1:{port}")
        assert isolation.main() == 1
    assert capsys.readouterr().err.startswith(f"error [not_isolated] 127.0.0.1:{port} can be reached")
