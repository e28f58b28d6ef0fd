"""What can be wrong where a service starts, and the line that tells it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from yarl import URL

from tests.servers.s3 import S3
from tests.stack import SERVICES

WRONG = "wr0ng"
STORING = tuple(service for service in SERVICES if service != "evaluator")


class Places(NamedTuple):
    """Servers that are up, a port that nobody listens on, one that is taken, and a folder."""

    broker: URL
    mongo: URL
    s3: S3
    registry: str
    nobody: int
    taken: int
    folder: Path

    @property
    def words(self) -> Mapping[str, object]:
        """What the lines call them."""
        hosts = {"broker": self.broker.authority, "mongo": self.mongo.authority, "s3": self.s3.endpoint}
        return self._asdict() | {name: host.rpartition("@")[2] for name, host in hosts.items()}


@dataclass(frozen=True)
class Fault:
    """Where the settings are wrong, and the line that tells it; `waits`: what is away may come."""

    change: Callable[[Places], Mapping[str, object]]
    line: str
    services: tuple[str, ...] = SERVICES
    waits: bool = False


FAULTS = {
    "a wrong broker password": Fault(
        lambda at: {"BROKER_URL": at.broker.with_password(WRONG)},
        r"\[broker_refused\] {prefix}_BROKER_URL: amqp://\w+:\*\*\*@{broker}/: .*ACCESS_REFUSED",
    ),
    "a virtual host that is not there": Fault(
        lambda at: {"BROKER_URL": at.broker.with_path("/nowhere")},
        r"\[broker_refused\] {prefix}_BROKER_URL: .*{broker}/nowhere: no access to this virtual host",
    ),
    "no broker where it should be": Fault(
        lambda at: {"BROKER_URL": at.broker.with_host("127.0.0.1").with_port(at.nobody)},
        r"\[bus_unavailable\] {prefix}_BROKER_URL: .*127\.0\.0\.1:{nobody}",
        waits=True,
    ),
    "no broker URL": Fault(
        lambda _: {"BROKER_URL": ""}, r"\[misconfigured\] {prefix}_BROKER_URL: not set; expected .* amqp://"
    ),
    "a garbled broker URL": Fault(
        lambda _: {"BROKER_URL": f"rabbit://me:{WRONG}@queue:"},
        r"\[misconfigured\] {prefix}_BROKER_URL: .* is not amqp://user:password@host:5672/vhost",
    ),
    "a file of a secret that is not there": Fault(
        lambda at: {"BROKER_URL": "", "BROKER_URL_FILE": at.folder / "absent"},
        r"\[misconfigured\] {prefix}_BROKER_URL_FILE: cannot read {folder}/absent: No such file or directory",
    ),
    "a port that is taken": Fault(
        lambda at: {"PORT": at.taken}, r"\[misconfigured\] {prefix}_PORT: port {taken} of 127\.0\.0\.1 cannot be had"
    ),
    "a bucket that is not there": Fault(
        lambda _: {"S3_BUCKET": "nobodys", "MAKE_BUCKET": "false"},
        r"\[misconfigured\] {prefix}_S3_BUCKET: there is no such bucket \({s3}, bucket 'nobodys'",
        STORING,
    ),
    "a wrong S3 secret": Fault(
        lambda _: {"S3_SECRET_KEY": WRONG},
        r"\[misconfigured\] {prefix}_S3_SECRET_KEY: is not the secret of the access key \({s3}",
        STORING,
    ),
    "no S3 server where it should be": Fault(
        lambda at: {"S3_ENDPOINT": f"http://127.0.0.1:{at.nobody}"},
        r"\[unavailable\] {prefix}_S3_ENDPOINT: object store http://127\.0\.0\.1:{nobody}: .*refused",
        STORING,
        waits=True,
    ),
}
# One service each, so that they can be tried all at once.
OF_ONE = {
    "a wrong database password": Fault(
        lambda at: {"MONGO_URL": at.mongo.with_password(WRONG)},
        r"\[misconfigured\] {prefix}_MONGO_URL: {mongo} refuses this user or password",
        ("registry",),
    ),
    "no database where it should be": Fault(
        lambda at: {"MONGO_URL": at.mongo.with_host("127.0.0.1").with_port(at.nobody)},
        r"\[unavailable\] {prefix}_MONGO_URL: registry database 127\.0\.0\.1:{nobody}: .*Errno 111",
        ("registry",),
        waits=True,
    ),
    "a garbled database URL": Fault(
        lambda _: {"MONGO_URL": f"mongo://me:{WRONG}@there"},
        r"\[misconfigured\] {prefix}_MONGO_URL: 'there' is not a MongoDB connection string",
        ("registry",),
    ),
    "an impossible database name": Fault(
        lambda _: {"MONGO_DATABASE": "a/b"}, r"\[misconfigured\] {prefix}_MONGO_DATABASE: .*'/'", ("registry",)
    ),
    "an open port without a token": Fault(
        lambda _: {"HOST": "0.0.0.0", "TOKEN": ""},
        r"\[misconfigured\] {prefix}_TOKEN: host 0\.0\.0\.0 is reachable by others",
        ("registry",),
    ),
    "a garbled S3 endpoint": Fault(
        lambda _: {"S3_ENDPOINT": "minio:9000"}, r"\[invalid_input\] {prefix}_S3_ENDPOINT: 'minio:9000'", ("trainer",)
    ),
    "a token that the registry refuses": Fault(
        lambda _: {"REGISTRY_TOKEN": WRONG},
        r"\[misconfigured\] {prefix}_REGISTRY_TOKEN: the registry at {registry}/? refuses it",
        ("evaluator",),
    ),
    "no registry where it should be": Fault(
        lambda at: {"REGISTRY_URL": f"http://127.0.0.1:{at.nobody}"},
        r"\[unavailable\] {prefix}_REGISTRY_URL: registry at http://127\.0\.0\.1:{nobody}",
        ("evaluator",),
        waits=True,
    ),
    "a garbled registry URL": Fault(
        lambda _: {"REGISTRY_URL": "registry:8000"},
        r"\[misconfigured\] {prefix}_REGISTRY_URL: .* \(got 'registry:8000'\)",
        ("evaluator",),
    ),
    "no secret of the held-out images": Fault(
        lambda _: {"HELDOUT_SECRET": ""},
        r"\[misconfigured\] {prefix}_HELDOUT_SECRET: not set; expected for instance one as `archloop env` makes it",
        ("evaluator",),
    ),
    "a secret of the held-out images that is short": Fault(
        lambda _: {"HELDOUT_SECRET": WRONG},
        r"\[misconfigured\] {prefix}_HELDOUT_SECRET: \d+ characters, must be at least 32",
        ("evaluator",),
    ),
    "an isolation that cannot be had": Fault(
        lambda _: {"REQUIRED_LEVEL": "container"},
        r"\[sandbox_unavailable\] {prefix}_REQUIRED_LEVEL: the level `container`",
        ("evaluator",),
    ),
    "a store that cannot be written": Fault(
        lambda _: {"STORE": "/proc/novelty.sqlite"}, r"\[misconfigured\] {prefix}_STORE: .*/proc/novelty", ("novelty",)
    ),
    "a folder that cannot be made": Fault(
        lambda _: {"WORK_DIR": "/proc/work"}, r"\[misconfigured\] {prefix}_WORK_DIR: /proc/work: No such", ("trainer",)
    ),
    "a cache that cannot be made": Fault(
        lambda _: {"CACHE_DIR": "/proc/cache"}, r"\[misconfigured\] {prefix}_CACHE_DIR: /proc/cache: ", ("generator",)
    ),
    "a host that is none": Fault(
        lambda _: {"HOST": "no.host.invalid"}, r"\[misconfigured\] {prefix}_HOST: .*'no\.host\.invalid'", ("novelty",)
    ),
    "a number that is none": Fault(
        lambda _: {"PERMUTATIONS": "many"}, r"\[misconfigured\] {prefix}_PERMUTATIONS: .*'many'", ("novelty",)
    ),
}
