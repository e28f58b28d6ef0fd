"""Whom the clients of broker and stores trust over TLS: those whom SSL_CERT_FILE names, and nobody else."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

from tests.servers.process import ServerMissing, required

CLIENTS = {
    "broker": "from archloop.bus.amqp import AmqpBus; go(AmqpBus(f'amqps://a:b@{place}/', 'test').connect())",
    "objects": (
        "from archloop.blobs.minio import Bucket, MinioBlobs, Patience;"
        "go(MinioBlobs(Bucket(f'https://{place}', 'bucket', 'a', 'b', 'r'), Patience(2, 2, 1)).ping())"
    ),
    "documents": (
        "from services.registry.stores.mongo import MongoStore;"
        "go(MongoStore.open(f'mongodb://a:b@{place}/?tls=true&directConnection=true', wait_s=2))"
    ),
    "registry": (
        "from services.evaluator.registry_client import RegistryReader\n"
        "async def ask():\n"
        "    async with RegistryReader.open(f'https://{place}', None) as registry: await registry.ping()\n"
        "go(ask())"
    ),
}
CLIENTS["traces"] = (
    "from archloop.contracts.trace import Place\n"
    "from archloop.otlp import OtlpTracer, exporting\n"
    "with exporting(f'https://{place}') as processor:\n"
    "    OtlpTracer('test', processor).mark('x', Place.of('x'), {})"
)
HEAD = """
import asyncio, sys
from contextlib import suppress
place = sys.argv[1]
def go(what):
    with suppress(Exception):
        asyncio.run(asyncio.wait_for(what, 10))
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate of 127.0.0.1 that vouches for itself."""
    folder = tmp_path_factory.mktemp("authority")
    with required("openssl"):
        if shutil.which("openssl") is None:
            raise ServerMissing("not on the PATH")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", folder / "key.pem", "-out", folder / "ca.crt"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder


@contextmanager
def secure_server(authority):
    """Yields its place, and a list with an entry for each client that has taken the certificate."""
    context, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(authority / "ca.crt", authority / "key.pem")

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.settimeout(5)
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                # What a client thinks of the certificate shows in whether it says anything.
                if secure.recv(1):
                    trusted.append(True)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", trusted
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("trusting", [True, False])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_trusts_whom_it_is_told_to_and_nobody_else(client, trusting, authority):
    env = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    if trusting:
        env["SSL_CERT_FILE"] = str(authority / "ca.crt")
    with secure_server(authority) as (place, trusted):
        command = [sys.executable, "-c", HEAD + CLIENTS[client], place]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert bool(trusted) is trusting
