"""What a model server may answer, and what the generator makes of it."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from archloop.contracts.spec import GenerationSpec
from archloop.errors import InvalidInput, Unavailable
from services.generator.backends import hub
from services.generator.backends.cpu import CpuBackend
from services.generator.backends.hub import Hub
from services.generator.backends.port import Decoding
from services.generator.errors import AdapterMissing, GenerationFailed, ServerOverloaded

DECODING = Decoding.of(GenerationSpec(temperature=0.9, top_p=0.95, top_k=40, max_new_tokens=7))
TOKENS = [{"id": i, "text": "x", "logprob": -0.5, "special": False} for i in range(3)]
DETAILS = {"finish_reason": "eos_token", "generated_tokens": 3, "seed": 1, "prefill": [], "tokens": TOKENS}
GOOD = [{"generated_text": "xxx", "details": DETAILS | {"input_length": 9}}]


class Double:
    """Says one prepared answer to every request, and remembers the requests."""

    def __init__(self, status=200, body=GOOD, *, cut=0, silent=False) -> None:
        self.status, self.cut, self.silent = status, cut, silent
        self.content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.requests: list[tuple[str, dict]] = []
        self.headers = b""

    async def serve(self, reader, writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if b"POST" in head else 0
        self.headers = head
        self.requests.append((head.split()[1].decode(), json.loads(await reader.readexactly(length) or b"{}")))
        if self.silent:
            await reader.read()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n" % (self.status, len(self.content)))
        writer.write(b"Content-Type: application/json\r\nConnection: close\r\n\r\n")
        writer.write(self.content[: len(self.content) - self.cut])
        writer.close()


@asynccontextmanager
async def talking_to(double, kind=Hub, **options):
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    async with server:
        backend = kind(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", **options)
        try:
            yield backend
        finally:
            await backend.close()


async def answer(double, adapter="code-v1", **options):
    async with talking_to(double, **options) as hub:
        return await hub.text("prompt", DECODING, 11, adapter)


def refusal(error_type, message="no"):
    return {"error": message, "error_type": error_type}


async def test_the_request_is_tgi_s_with_everything_that_counts():
    double = Double()
    got = await answer(double, token="own key")
    ((path, body),) = double.requests
    assert path == "/"
    assert body["inputs"] == "prompt"
    sent = {name: value for name, value in body["parameters"].items() if value is not None}
    sent.pop("decoder_input_details", None)
    sent.pop("watermark", None)
    assert sent == {
        "adapter_id": "code-v1",
        "details": True,
        "do_sample": True,
        "max_new_tokens": 7,
        "return_full_text": False,
        "seed": 11,
        "temperature": 0.9,
        "top_k": 40,
        "top_p": 0.95,
    }
    assert b"Bearer own key" in double.headers
    assert (got.text, got.adapter, got.finish_reason, got.logprob) == ("xxx", "code-v1", "eos_token", -1.5)
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (9, 3)


async def test_a_token_saved_on_the_machine_is_not_sent(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_machine")
    double = Double()
    await answer(double)
    assert b"hf_machine" not in double.headers


async def test_greedy_decoding_is_asked_for_by_leaving_sampling_out():
    double = Double()
    async with talking_to(double) as hub:
        await hub.text("prompt", Decoding(5), None, None)
    parameters = double.requests[0][1]["parameters"]
    assert parameters["do_sample"] is False
    assert not {name for name in ("temperature", "top_p", "top_k", "seed") if parameters.get(name) is not None}


@pytest.mark.parametrize(
    ("double", "error"),
    [
        (Double(429, refusal("overloaded")), ServerOverloaded),
        (Double(424, refusal("generation")), GenerationFailed),
        (Double(500, refusal("incomplete_generation")), GenerationFailed),
        (Double(404, refusal("not_found")), AdapterMissing),
        (Double(503, b"upstream is gone"), Unavailable),
        (Double(503, refusal("healthcheck")), Unavailable),
        (Double(200, [{"generated_text": "xxx"}]), GenerationFailed),
        (Double(200, b"<html>"), Unavailable),
        (Double(200, GOOD, cut=10), Unavailable),
        (Double(200, []), Unavailable),
    ],
)
async def test_what_may_work_later_is_retryable(double, error):
    with pytest.raises(error) as failure:
        await answer(double)
    assert failure.value.retryable


async def test_what_the_server_finds_invalid_is_permanent_and_says_why():
    with pytest.raises(InvalidInput, match="too long") as failure:
        await answer(Double(422, refusal("validation", "`inputs` is too long")))
    assert not failure.value.retryable


async def test_not_found_without_an_adapter_blames_no_adapter():
    with pytest.raises(Unavailable) as failure:
        await answer(Double(404, b"nothing here"), adapter=None)
    assert not isinstance(failure.value, AdapterMissing)


async def test_a_server_that_says_nothing_is_given_up():
    with pytest.raises(Unavailable, match="in time"):
        await answer(Double(silent=True), timeout_s=0.1)


async def test_a_server_that_is_not_there_is_unavailable():
    async with talking_to(Double()) as backend:
        pass
    backend = CpuBackend("http://127.0.0.1:9")
    assert not await backend.ready()
    for call in (backend.generate("p", DECODING, 1, None), backend.base(), backend.adapters(), backend.unload("x")):
        with pytest.raises(Unavailable):
            await call
    await backend.close()


@pytest.mark.parametrize(
    ("status", "error"), [(400, InvalidInput), (404, InvalidInput), (422, InvalidInput), (500, Unavailable)]
)
async def test_loading_distinguishes_a_bad_adapter_from_a_bad_day(status, error, tmp_path):
    async with talking_to(Double(status, refusal("any", "the reason")), CpuBackend) as backend:
        with pytest.raises(error, match="the reason"):
            await backend.load("code-v1", tmp_path)


async def test_unloading_what_is_gone_is_done():
    async with talking_to(Double(404, refusal("not_found")), CpuBackend) as backend:
        await backend.unload("code-v1")


async def test_a_client_that_has_carried_its_streams_is_let_go(monkeypatch):
    """huggingface_hub's lets go of no stream before it is closed itself."""
    closed = []

    class Client(hub.Inference):
        async def close(self):
            closed.append(self)
            await super().close()

    monkeypatch.setattr(hub, "Inference", Client)
    monkeypatch.setattr(hub, "_STREAMS", 2)
    event = {"index": 1, "token": TOKENS[0], "generated_text": "x", "details": GOOD[0]["details"]}
    double = Double(body=b"data:" + json.dumps(event).encode() + b"\n\n")
    async with talking_to(double, streams=True) as backend:
        for _ in range(5):
            assert (await backend.text("prompt", DECODING, 11, None)).text == "x"
        assert len(closed) == 2
        await asyncio.gather(*(backend.text("prompt", DECODING, 11, None) for _ in range(6)))
        assert len(closed) == 5
    assert len(closed) == 6


@pytest.mark.parametrize(("status", "error"), [(401, Unavailable), (403, Unavailable), (429, Unavailable)])
async def test_a_wrong_token_is_no_flaw_of_the_adapter(status, error, tmp_path):
    async with talking_to(Double(status, refusal("any", "the reason")), CpuBackend) as backend:
        with pytest.raises(error, match="the reason"):
            await backend.load("code-v1", tmp_path)
