"""A service that cannot start says so in one line naming the setting: every fault, every service that can have it."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from yarl import URL

from archloop.blobs.directory import DirectoryBlobs
from archloop.bus.amqp import AmqpBus
from archloop.ops.http import listening
from services.registry import api
from services.registry.stores.sqlite import SqliteStore
from tests.contract.test_bus import scrubbed
from tests.integration.faults import FAULTS, OF_ONE, WRONG, Fault, Places
from tests.servers.process import free_ports
from tests.servers.s3 import S3
from tests.stack import Servers, Stack
from tests.stack.stack import READ_TOKEN
from tests.support import sampled

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

BUCKET = "bad-starts"


class End(NamedTuple):
    """How a process ended, and what it said."""

    status: int
    output: str
    logged: Sequence[Mapping[str, object]]
    said: Sequence[str]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.fixture
async def places(broker_url: str, mongo_url: str, s3: S3, taken: int, tmp_path: Path) -> AsyncIterator[Places]:
    if not s3.client().bucket_exists(BUCKET):
        s3.client().make_bucket(BUCKET)
    store = SqliteStore(tmp_path / "registry.sqlite")

    async def publish(_: object) -> None: ...

    registry = api.create(store, DirectoryBlobs(tmp_path / "blobs"), publish, read_token=SecretStr(READ_TOKEN))
    (nobody,) = free_ports(1)
    bus = AmqpBus(broker_url, "test")
    await bus.connect()
    async with listening(registry, "127.0.0.1", 0, "port") as url:
        yield Places(URL(broker_url), URL(mongo_url), s3, url, nobody, taken, tmp_path)
    await store.close()
    await scrubbed(bus)
    await bus.close()


async def ended(service: str, at: Places, change: Mapping[str, object]) -> End:
    """The process on sound settings but for the change, run to its end."""
    servers = Servers(str(at.broker), str(at.mongo), at.s3, database="bad_starts", bucket=BUCKET)
    process = Stack(at.folder, servers).processes[service]
    registry = {"REGISTRY_URL": at.registry} if service == "evaluator" else {}
    own = {"PORT": 0, "START_PATIENCE_S": 0.3, **registry, **change}
    running = await asyncio.create_subprocess_exec(
        *process.command,
        env={**process.env, **{f"ARCHLOOP_{service.upper()}_{name}": str(value) for name, value in own.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = (said.decode() for said in await asyncio.wait_for(running.communicate(), 60))
    finally:
        if running.returncode is None:
            running.kill()
    assert running.returncode is not None
    logged, said = [], []
    for line in err.splitlines():
        (logged if line.startswith("{") else said).append(line)
    return End(running.returncode, out + err, [json.loads(line) for line in logged], said)


async def told(name: str, fault: Fault, at: Places) -> None:
    """By every service that can have the fault: one line, with the variable and the place, and no secret anywhere."""
    change = fault.change(at)
    ends = await asyncio.gather(*(ended(service, at, change) for service in fault.services))
    for service, end in zip(fault.services, ends, strict=True):
        what = f"{service} with {name}:\n{end.output}"
        assert end.status == 1, what
        assert len(end.said) == 1, what
        words = {word: re.escape(str(value)) for word, value in at.words.items()}
        assert re.match("error " + fault.line.format(prefix=f"ARCHLOOP_{service.upper()}", **words), end.said[0]), what
        assert "Traceback" not in end.output, what
        for secret in (WRONG, f":{at.broker.password}@", at.mongo.password, at.s3.secret_key, READ_TOKEN):
            assert str(secret) not in end.output, what
        assert fault.waits == any("try again" in str(line["event"]) for line in end.logged), what


@pytest.mark.parametrize("name", sampled(FAULTS, 3))
async def test_a_service_says_in_one_line_that_it_has(name: str, places: Places) -> None:
    await told(name, FAULTS[name], places)


async def test_what_only_one_service_needs_is_told_in_one_line_too(places: Places) -> None:
    await asyncio.gather(*(told(name, fault, places) for name, fault in OF_ONE.items()))


async def test_a_database_user_who_may_do_nothing_is_told_in_one_line(places: Places) -> None:
    with MongoClient(str(places.mongo)) as admin:
        try:
            admin["bad_starts_users"].command("createUser", "stranger", pwd="stranger", roles=[])
        except OperationFailure as error:
            pytest.skip(f"this server knows no other users: {error.details}")
    stranger = places.mongo.with_user("stranger").with_password("stranger").update_query(authSource="bad_starts_users")
    fault = Fault(
        lambda _: {"MONGO_URL": stranger}, r"\[misconfigured\] {prefix}_MONGO_URL: {mongo} refuses", ("registry",)
    )
    await told("a database user who may do nothing", fault, places)
