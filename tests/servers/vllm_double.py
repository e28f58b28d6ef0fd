"""A double of vLLM 0.33.0's OpenAI server with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, without a model."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import BaseModel

from tests.servers.double_model import (
    MAX_TOTAL,
    Answer,
    Failed,
    answer,
    chat_logprobs,
    event,
    fingerprint,
    length_of,
    said,
)


class Load(BaseModel):
    lora_name: str
    lora_path: str = ""
    load_inplace: bool = False


class Chat(BaseModel):
    messages: list[dict[str, Any]]
    model: str
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    logprobs: bool | None = None
    structured_outputs: dict[str, Any] | None = None


class Refused(Exception):
    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": status}}


@dataclass
class VllmDouble:
    """`limit` is that of a gateway before it; vLLM itself queues what comes."""

    model_id: str
    limit: int = 128
    token_s: float = 0.0
    runtime_updating: bool = True
    loaded: dict[str, tuple[Path, str]] = field(default_factory=dict)
    running: int = 0
    asked: int = 0
    loads: list[str] = field(default_factory=list)
    guided: list[dict[str, Any]] = field(default_factory=list)

    def load(self, body: Load) -> None:
        name, folder = body.lora_name, Path(body.lora_path)
        self.loads.append(name)
        if name == self.model_id:
            raise Refused(
                400, "InvalidUserInput", f"The lora adapter name '{name}' conflicts with a served base model."
            )
        if name in self.loaded and not body.load_inplace:
            raise Refused(
                400,
                "InvalidUserInput",
                f"The lora adapter '{name}' has already been loaded. "
                "If you want to load the adapter in place, set 'load_inplace' to True.",
            )
        if not (folder / "adapter_config.json").is_file():
            raise Refused(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for {folder}")
        try:
            self.loaded[name] = (folder, fingerprint(folder))
        except ValueError as error:
            raise Refused(500, "InternalServerError", f"Loading lora {name} failed: {error}") from error

    def unload(self, name: str) -> None:
        if name not in self.loaded:
            raise Refused(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        del self.loaded[name]

    def answer(self, body: Chat) -> Answer:
        if body.model != self.model_id and body.model not in self.loaded:
            aliases = f"Valid aliases: {self.model_id}"
            raise Refused(404, "NotFoundError", f"The model `{body.model}` does not exist. {aliases}")
        if self.running >= self.limit:
            raise Refused(429, "TooManyRequests", "Too many requests, try again later.")
        if body.structured_outputs is not None:
            self.guided.append(body.structured_outputs)
        prompt = "".join(str(message["content"]) for message in body.messages)
        used = self.loaded[body.model][1] if body.model in self.loaded else None
        length = self._length(length_of(prompt), body.max_tokens)
        return answer(prompt, used, None if body.temperature == 0 else body.seed, length)

    def _length(self, prompt: int, asked: int | None) -> int:
        """An answer that does not fit in beside its prompt is cut rather than refused."""
        if asked is not None and asked > MAX_TOTAL:
            raise _invalid(f"max_tokens={asked} cannot be greater than max_model_len={MAX_TOTAL}.")
        if prompt >= MAX_TOTAL:
            raise _invalid(
                f"This model's maximum context length is {MAX_TOTAL} tokens. However, your prompt contains at least "
                f"{MAX_TOTAL + 1} input tokens, which exceeds this limit even without any output tokens."
            )
        return min(asked or MAX_TOTAL, MAX_TOTAL - prompt)


def _invalid(message: str) -> Refused:
    return Refused(400, "BadRequestError", message)


def application(double: VllmDouble) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.body, error.status)

    @app.get("/health")
    async def health() -> Response:
        return Response()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        base = {"object": "model", "owned_by": "vllm"}
        cards = [base | {"id": double.model_id, "root": double.model_id, "parent": None, "max_model_len": MAX_TOTAL}]
        for name, (folder, _) in double.loaded.items():
            cards.append(base | {"id": name, "root": str(folder), "parent": double.model_id, "max_model_len": None})
        return {"object": "list", "data": cards}

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: Chat) -> Response | dict[str, Any]:
        made = double.answer(body)
        double.asked += 1
        if body.stream:
            return StreamingResponse(_events(double, body, made), media_type="text/event-stream")
        return await _whole(double, body, made)

    if double.runtime_updating:
        _admin(app, double)
    return app


def _admin(app: FastAPI, double: VllmDouble) -> None:
    @app.post("/v1/load_lora_adapter")
    async def load(body: Load) -> PlainTextResponse:
        double.load(body)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' added successfully.")

    @app.post("/v1/unload_lora_adapter")
    async def unload(body: Load) -> PlainTextResponse:
        double.unload(body.lora_name)
        return PlainTextResponse(f"Success: LoRA adapter '{body.lora_name}' removed successfully.")


async def _whole(double: VllmDouble, body: Chat, made: Answer) -> dict[str, Any]:
    try:
        tokens = [token async for token in said(made, double.token_s)]
    except Failed as error:
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServerError", str(error)) from error
    message = {"role": "assistant", "content": made.text}
    logprobs = {"content": [chat_logprobs(token) for token in tokens]} if body.logprobs else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _reason(made)}
    return _head(body) | {"object": "chat.completion", "choices": [choice], "usage": _usage(made)}


async def _events(double: VllmDouble, body: Chat, made: Answer) -> AsyncIterator[str]:
    """First the role alone, at the end the usage with no choices, where it is asked for."""
    head, index = _head(body) | {"object": "chat.completion.chunk"}, 0
    double.running += 1
    try:
        yield event(head | {"choices": [_choice({"role": "assistant", "content": ""})]})
        async for token in said(made, double.token_s):
            index += 1
            reason = _reason(made) if index == len(made.tokens) else None
            logprobs = {"content": [chat_logprobs(token)]} if body.logprobs else None
            yield event(head | {"choices": [_choice({"content": token.text}, logprobs, reason)]})
        if index == len(made.tokens) and (body.stream_options or {}).get("include_usage"):
            yield event(head | {"choices": [], "usage": _usage(made)})
    except Failed as error:
        yield event(Refused(500, "InternalServerError", str(error)).body)
    finally:
        double.running -= 1
    yield "data: [DONE]\n\n"


def _choice(delta: dict[str, Any], logprobs: Any = None, reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def _head(body: Chat) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "created": 0, "model": body.model, "system_fingerprint": None}


def _reason(made: Answer) -> str:
    return "length" if made.finish == "length" else "stop"


def _usage(made: Answer) -> dict[str, int]:
    read, written = made.prompt_tokens, len(made.tokens)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def main(arguments: Sequence[str] | None = None) -> None:
    """Flags are those of `vllm serve`, but for the last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--token-s", type=float, default=0.0, help="seconds for a token")
    options = parser.parse_args(arguments)
    double = VllmDouble(options.model, token_s=options.token_s, runtime_updating=options.enable_lora)
    config = uvicorn.Config(application(double), options.host, options.port, log_level="warning")
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
