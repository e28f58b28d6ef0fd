"""The routes of the double of text-generation-inference."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from tests.servers.double_model import MAX_TOTAL, Answer, Failed, Token, chat_logprobs, event, said
from tests.servers.tgi_double import Chat, Generate, Refused, TgiDouble


def application(double: TgiDouble) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.body, error.status)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> PlainTextResponse:
        return PlainTextResponse(f"Failed to deserialize the JSON body into the target type: {error}", 422)

    _status(app, double)
    _native(app, double)
    _chat(app, double)
    return app


def _status(app: FastAPI, double: TgiDouble) -> None:
    for path in ("/health", "/ping", "/"):
        app.get(path)(_fine)

    @app.get("/info")
    async def info() -> dict[str, Any]:
        limits = {"max_concurrent_requests": double.limit, "max_total_tokens": MAX_TOTAL, "max_best_of": 2}
        return {"model_id": double.model_id, "model_sha": None, "version": "3.3.7", "router": "router", **limits}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": double.model_id, "object": "model", "owned_by": double.model_id}]}


def _native(app: FastAPI, double: TgiDouble) -> None:
    @app.post("/generate")
    async def generate(body: Generate) -> dict[str, Any]:
        made = double.of(body)
        whole: dict[str, Any] = {"generated_text": _text(made, body)}
        tokens = [_token(index, token) for index, token in enumerate(await double.whole(made))]
        if body.parameters.details:
            whole["details"] = _ending(made) | {"prefill": [], "tokens": tokens}
            del whole["details"]["input_length"]
        return whole

    @app.post("/generate_stream")
    async def generate_stream(body: Generate) -> StreamingResponse:
        return StreamingResponse(_events(double, body), media_type="text/event-stream")

    @app.post("/", response_model=None)
    async def compat(body: Generate) -> Response | list[dict[str, Any]]:
        if body.parameters.return_full_text is None:
            body.parameters.return_full_text = True
        return await generate_stream(body) if body.stream else [await generate(body)]


def _chat(app: FastAPI, double: TgiDouble) -> None:
    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: Chat) -> Response | dict[str, Any]:
        if body.stream:
            return StreamingResponse(_chat_events(double, body), media_type="text/event-stream")
        made = double.chat(body)
        tokens = await double.whole(made)
        message = {"role": "assistant", "content": made.text}
        logprobs = {"content": [chat_logprobs(token) for token in tokens]} if body.logprobs else None
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _reason(made)}
        return _head(double) | {"object": "chat.completion", "choices": [choice], "usage": _usage(made)}


async def _fine() -> Response:
    return Response()


async def _events(double: TgiDouble, body: Generate) -> AsyncIterator[str]:
    """Whatever is wrong is told with status 200, within the stream."""
    try:
        made, index = double.of(body), 0
        async with double.permit():
            async for token in said(made, double.token_s):
                index += 1
                last = index == len(made.tokens)
                end = {
                    "generated_text": _text(made, body) if last else None,
                    "details": _ending(made) if last else None,
                }
                yield event({"index": index, "token": _token(index, token)} | end, space="")
    except Refused as error:
        yield event(error.body, space="")
    except Failed as error:
        yield event({"error": f"Request failed during generation: {error}", "error_type": "generation"}, space="")


async def _chat_events(double: TgiDouble, body: Chat) -> AsyncIterator[str]:
    """An error is said to be a 422 here, whatever it is."""
    head = _head(double) | {"object": "chat.completion.chunk"}
    try:
        made, index = double.chat(body), 0
        async with double.permit():
            async for token in said(made, double.token_s):
                index += 1
                reason = _reason(made) if index == len(made.tokens) else None
                delta = {"role": "assistant", "content": token.text}
                logprobs = {"content": [chat_logprobs(token)]} if body.logprobs else None
                choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
                yield event(head | {"choices": [choice], "usage": None})
            if index == len(made.tokens):
                yield event(head | {"choices": [], "usage": _usage(made)})
    except (Refused, Failed) as error:
        said_ = str(error) if isinstance(error, Refused) else f"Request failed during generation: {error}"
        yield event({"error": {"message": said_, "http_status_code": 422}})
    yield "data: [DONE]\n\n"


def _head(double: TgiDouble) -> dict[str, Any]:
    return {"id": "", "created": 0, "model": double.model_id, "system_fingerprint": "3.3.7-double"}


def _token(index: int, token: Token) -> dict[str, Any]:
    return {"id": index, "text": token.text, "logprob": token.logprob, "special": False}


def _ending(made: Answer) -> dict[str, Any]:
    told = {"finish_reason": made.finish, "generated_tokens": len(made.tokens)}
    return told | {"seed": None, "input_length": made.prompt_tokens}


def _text(made: Answer, body: Generate) -> str:
    return body.inputs + made.text if body.parameters.return_full_text else made.text


def _reason(made: Answer) -> str:
    return "length" if made.finish == "length" else "stop"


def _usage(made: Answer) -> dict[str, int]:
    read, written = made.prompt_tokens, len(made.tokens)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def serve(double: TgiDouble, host: str, port: int, *, stubborn: bool) -> None:
    """Until a signal ends it; a stubborn one takes no SIGTERM."""
    server = uvicorn.Server(uvicorn.Config(application(double), host, port, log_level="warning"))
    if stubborn:
        server.handle_exit = lambda *_: None  # type: ignore[method-assign]
    asyncio.run(server.serve())
