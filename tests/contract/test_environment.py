"""What each client obeys of the environment: docs/reference/environment.md, line by line, by a proxy that is a trap."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from archloop.addresses import is_loopback, is_own, proxy_for
from archloop.errors import ArchloopError, Misconfigured
from archloop.ops import web
from tests.servers.trap import trap

pytestmark = pytest.mark.timeout(240)

HEAD = """
import asyncio, sys
from pathlib import Path
from archloop.errors import ArchloopError
url = sys.argv[1]
place = url.partition("://")[2]
async def main():
    try:
        await ask()
    except ArchloopError as error:
        return f"{type(error).__name__} {error}"
    return "answered"
"""
TEXT = """
async def ask():
    from services.generator.backends.hub import Hub
    from services.generator.backends.port import Decoding
    hub = Hub(url, 20, streams=%s)
    try:
        await hub.%s("prompt", Decoding(8), 1, None%s)
    finally:
        await hub.close()
"""
ROUTES = """
async def ask():
    from services.generator.transport import ServerClient
    server = ServerClient(url, 20)
    try:
        (await server.get("/info")).checked()
    finally:
        await server.close()
"""
VLLM = """
async def ask():
    from services.generator.backends.port import ServedModel
    from services.generator.backends.vllm import VllmBackend
    backend = VllmBackend(url, ServedModel("m", "0"), "m")
    try:
        await backend.base()
    finally:
        await backend.close()
"""
TGI = """
async def ask():
    from services.generator.backends.port import ServedModel
    from services.generator.backends.tgi import TgiBackend
    backend = TgiBackend(url, ServedModel("m", "0"), "m")
    try:
        await backend.base()
    finally:
        await backend.close()
"""
KUBERNETES = """
async def ask():
    from services.generator.backends.kubernetes_launcher import KubernetesLauncher
    account = Path(sys.argv[2])
    (account / "token").write_text("t")
    (account / "namespace").write_text("n")
    async with KubernetesLauncher(account / "none", "pod", api=url, account=account).talking() as (api, _):
        (await api.get("/api")).checked()
"""
READER = """
async def ask():
    from services.evaluator.registry_client import RegistryReader
    async with RegistryReader.open(url, None) as registry:
        await registry.ping()
"""
REMOTE = """
async def ask():
    from archloop_lab import remote_registry
    remote_registry.PATIENCE_S = 0.0
    async with remote_registry.RemoteRegistry.open(url, None) as registry:
        await registry._checked("GET", "/queues")
"""
OBJECTS = """
async def ask():
    from archloop.blobs.minio import Bucket, MinioBlobs, Patience
    await MinioBlobs(Bucket(url, "bucket", "a", "b", "r"), Patience(5, 5, 0)).ping()
"""
BROKER = """
async def ask():
    from archloop.bus.amqp import AmqpBus
    await AmqpBus(f"amqp://a:b@{place}/", "test").connect()
"""
DOCUMENTS = """
async def ask():
    from services.registry.stores.mongo import MongoStore
    await (await MongoStore.open(f"mongodb://a:b@{place}/?directConnection=true", wait_s=2)).close()
"""
TRACES = """
async def ask():
    from archloop.contracts.trace import Place
    from archloop.otlp import OtlpTracer, exporting
    with exporting(url) as processor:
        OtlpTracer("test", processor).mark("x", Place.of("x"), {})
        processor.force_flush()
        if processor.span_exporter.away:
            raise ArchloopError("no collector")
"""
HTTP_CLIENTS = {
    "text": TEXT % ("False", "text", ""),
    "streamed text": TEXT % ("True", "text", ""),
    "chat": TEXT % ("False", "chat", ", 'm'"),
    "routes": ROUTES,
    "vllm": VLLM,
    "tgi": TGI,
    "kubernetes": KUBERNETES,
    "reader": READER,
    "remote": REMOTE,
    "objects": OBJECTS,
    "traces": TRACES,
}
OTHERS = {"broker": BROKER, "documents": DOCUMENTS}
PROXIES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
TAKEN_FOR_HTTP = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
GONE = "/nonexistent/file.pem"
ELSEWHERE = "http://archloop.invalid:8000"


class Answers(BaseHTTPRequestHandler):
    """Something to every request; what it is asked for is kept."""

    def do_GET(self):
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        self.server.asked.append((self.path, self.headers.get("authorization", "")))
        body = json.dumps({"data": [{"id": "m"}], "model_id": "m"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_HEAD = do_GET  # noqa: N815 - the library's names

    def log_message(self, *_):
        pass


@contextmanager
def answering():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.asked = []
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def asking(client, url, folder, variables):
    known = {**HTTP_CLIENTS, **OTHERS}
    plain = {name: value for name, value in os.environ.items() if name.lower() not in {p.lower() for p in PROXIES}}
    command = [sys.executable, "-c", f"{HEAD}{known[client]}\nprint(asyncio.run(main()))", url, str(folder)]
    done = subprocess.run(
        command, env={**plain, "NO_PROXY": "", **variables}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


def asking_here(client, url, folder, variables, monkeypatch):
    """As `asking`, for what is read anew each time and not when a library is imported."""
    for name in {"NO_PROXY": "", "no_proxy": "", **variables}:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["", url, str(folder)])
    names = {}
    exec(f"{HEAD}{({**HTTP_CLIENTS, **OTHERS})[client]}", names)
    return asyncio.run(names["main"]())


def everything(place, home):
    """Every variable that could lead astray, at once: each by itself is one of the cases below."""
    return {
        **dict.fromkeys(("HTTP_PROXY", "https_proxy"), f"http://{place}"),
        "all_proxy": f"socks5://{place}",
        "NO_PROXY": "somewhere.else",
        **dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), GONE),
        "SSLKEYLOGFILE": "/nonexistent/keys",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_ENDPOINT": f"http://{place}",
        "HF_INFERENCE_ENDPOINT": f"http://{place}",
        "HF_TOKEN": "hf_secret",
        "HOME": str(home),
        "NETRC": str(home / ".netrc"),
    }


@pytest.mark.parametrize("client", [*HTTP_CLIENTS, *OTHERS])
def test_on_loopback_nothing_of_the_environment_is_obeyed(client, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login netrc password netrc\n")
    with trap() as proxy, answering() as server:
        port = server.server_address[1]
        asking(client, f"http://127.0.0.1:{port}", tmp_path, everything(proxy.place, tmp_path))
        assert proxy.seen == []
        if client in HTTP_CLIENTS:
            assert server.asked
            assert not [header for _, header in server.asked if "hf_secret" in header or "bmV0cmM" in header]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.8.7", "localhost", "LOCALHOST", "0.0.0.0", "127.1"])
@pytest.mark.parametrize("variable", PROXIES)
async def test_every_form_of_loopback_is_asked_directly_whatever_the_variable(host, variable, monkeypatch):
    with trap() as proxy, answering() as server:
        for scheme in ("http", "socks5"):
            monkeypatch.setenv(variable, f"{scheme}://{proxy.place}")
            async with web.client(f"http://{host}:{server.server_address[1]}", "URL", timeout=5) as client:
                if host == "127.9.8.7":  # The server listens elsewhere in the network that is all loopback.
                    with pytest.raises(httpx2.ConnectError):
                        await client.get("/")
                else:
                    assert (await client.get("/")).is_success
        assert proxy.seen == []


@pytest.mark.parametrize("variable", TAKEN_FOR_HTTP)
@pytest.mark.parametrize("client", HTTP_CLIENTS)
def test_elsewhere_the_proxy_is_asked(client, variable, tmp_path, monkeypatch):
    with trap() as proxy:
        said = asking_here(client, ELSEWHERE, tmp_path, {variable: f"http://{proxy.place}"}, monkeypatch)
        assert proxy.seen
        assert b"archloop.invalid" in proxy.seen[0]
    assert said != "answered"


@pytest.mark.parametrize("client", ["routes", "text", "reader", "objects"])
@pytest.mark.parametrize(
    "excepted",
    ["*", "archloop.invalid", ".invalid", "*.invalid", "invalid", "other,archloop.invalid:8000", "ARCHLOOP.INVALID"],
)
def test_elsewhere_what_no_proxy_names_is_not(client, excepted, tmp_path, monkeypatch):
    with trap() as proxy:
        variables = {"HTTP_PROXY": f"http://{proxy.place}", "NO_PROXY": excepted}
        assert asking_here(client, ELSEWHERE, tmp_path, variables, monkeypatch) != "answered"
        assert proxy.seen == []


@pytest.mark.parametrize("client", OTHERS)
def test_broker_and_database_know_no_proxies(client, tmp_path, monkeypatch):
    with trap() as proxy:
        asking_here(client, ELSEWHERE, tmp_path, dict.fromkeys(PROXIES, f"http://{proxy.place}"), monkeypatch)
        assert proxy.seen == []


@pytest.mark.parametrize("client", ["text", "chat"])
def test_a_model_server_elsewhere_is_no_hub(client, tmp_path):
    """It gets neither the hub's token, nor is it refused where the hub is."""
    with trap() as proxy:
        variables = {"HTTP_PROXY": f"http://{proxy.place}", "HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_secret"}
        asking(client, ELSEWHERE, tmp_path, variables)
        assert proxy.seen
        assert b"hf_secret" not in b"".join(proxy.seen)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HTTP_PROXY": "ftp://proxy:21"}, "is no proxy"),
        ({"HTTP_PROXY": "http://:0:0"}, "is no proxy"),
        ({"ALL_PROXY": "socks4://proxy:1080"}, "is no proxy"),
        ({"ALL_PROXY": "socks5://user:secret@proxy:1080"}, "pip install socksio"),
        ({"http_proxy": "quic://proxy"}, "is no proxy"),
    ],
)
def test_a_proxy_that_cannot_be_taken_is_told_in_one_line(variables, words, monkeypatch):
    monkeypatch.setattr(web, "find_spec", lambda _: None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=words) as raised:
        web.client(ELSEWHERE, "URL")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA\n", b"\xff\xfe"])
def test_certificates_that_cannot_be_read_matter_for_tls_alone(content, tmp_path, monkeypatch):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    asyncio.run(web.client("http://127.0.0.1:1", "URL").aclose())
    asyncio.run(web.client(ELSEWHERE, "URL").aclose())
    with pytest.raises(Misconfigured, match="SSL_CERT_FILE"):
        web.client("https://archloop.invalid", "URL")


@pytest.mark.parametrize("url", ["", "archloop", "ftp://host", "http://", "http://[::1", "http://host:port", "//host"])
def test_what_is_no_url_is_told_in_one_line(url):
    with pytest.raises(ArchloopError, match="--server") as raised:
        web.client(url, "--server")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "loopback", "own"),
    [
        ("127.0.0.1", True, True),
        ("127.255.255.254", True, True),
        ("127.1", True, True),
        ("2130706433", True, True),
        ("::1", True, True),
        ("[::1]", True, True),
        ("::ffff:127.0.0.1", True, True),
        ("localhost", True, True),
        ("LocalHost.", True, True),
        ("tgi.localhost", True, True),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("::ffff:10.0.0.1", False, False),
        ("128.0.0.1", False, False),
        ("10.0.0.1", False, False),
        ("localhost.example.org", False, False),
        ("notlocalhost", False, False),
        ("127.0.0.1.example.org", False, False),
        ("127.0.0.1 ", False, False),
        ("", False, False),
        ("registry", False, False),
        ("١٢٧.0.0.1", False, False),
    ],
)
def test_what_is_loopback(host, loopback, own):
    assert (is_loopback(host), is_own(host)) == (loopback, own)


@pytest.mark.parametrize(
    ("url", "excepted", "direct"),
    [
        ("http://10.1.2.3:80", "10.0.0.0/8", True),
        ("http://10.1.2.3:80", "192.168.0.0/16,10.1.0.0/16", True),
        ("http://11.1.2.3:80", "10.0.0.0/8", False),
        ("http://[fd00::5]:80", "fd00::/8", True),
        ("http://[fe00::5]:80", "fd00::/8", False),
        ("http://tgi.default.svc:80", ".svc,.cluster.local", True),
        ("http://tgi:80", "10.0.0.0/8", False),
        ("http://tgi:80", "TGI", True),
        ("http://mytgi:80", "tgi", False),
        ("http://tgi:80", "tgi:81", False),
        ("https://tgi", "", False),
    ],
)
def test_no_proxy_names_hosts_and_networks(url, excepted, direct, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_for(url) == (None if direct else "http://proxy:3128")


def test_the_table_is_written_down():
    page = (Path(__file__).parents[2] / "docs/reference/environment.md").read_text()
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        assert variable in page
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HF_TOKEN"):
        assert variable in page
