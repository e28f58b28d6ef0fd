"""A service as a process of its own: how it ends."""

from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from archloop.errors import Unavailable
from archloop.ops.serve import Served, main, once
from archloop.ops.settings import ServiceSettings, config
from archloop.sanitising import plain
from tests.unit.cli.test_terminal import HOSTILE


class Settings(ServiceSettings):
    service: ClassVar[str] = "test"
    own_port: ClassVar[int] = 0
    model_config = config("test")


def test_what_is_over_ends_with_success_and_closes_what_it_opened():
    said = []

    async def over():
        said.append("over")

    @asynccontextmanager
    async def compose(settings):
        yield Served((), {}, over=over)
        said.append("closed")

    assert main(Settings, compose) == 0
    assert said == ["over", "closed"]


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
def test_what_others_say_is_one_line_that_no_terminal_obeys(words, capsys):
    async def job(_):
        raise Unavailable(words)

    assert once(Settings, job) == 1
    assert capsys.readouterr().err == f"error [unavailable] {plain(words)}\n"


@pytest.mark.parametrize("value", [value for value in HOSTILE.values() if "\0" not in value and "\ud800" not in value])
def test_so_is_a_setting_that_is_wrong(value, monkeypatch, capsys):
    monkeypatch.setenv("ARCHLOOP_TEST_HOST", value)
    assert once(Settings, lambda _: None) == 1
    said = capsys.readouterr().err
    assert said.startswith("error [misconfigured] ARCHLOOP_TEST_HOST: ")
    assert said.removesuffix("\n").isprintable()
