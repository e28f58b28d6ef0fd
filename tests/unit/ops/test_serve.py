"""A service as a process of its own: how it ends."""

from contextlib import asynccontextmanager
from typing import ClassVar

from archloop.ops.serve import Served, main
from archloop.ops.settings import ServiceSettings, config


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
