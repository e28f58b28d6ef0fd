"""Routes of TGI: `/`, `/generate` and `/generate_stream`."""

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from archloop.errors import ArchloopError
from services.generator.modelserver.errors import body_of
from services.generator.modelserver.generation import Ask, Generation, Generations
from services.generator.modelserver.patience import opened, unless_gone
from services.generator.modelserver.sampling import Choice
from services.generator.modelserver.texts import Tail, Texts
from services.generator.modelserver.wire import CompatRequest, GenerateRequest


def routes(generations: Generations) -> APIRouter:
    """Return the router over these generations."""
    router, texts = APIRouter(), generations.fleet.base.texts

    async def whole(body: GenerateRequest, request: Request) -> dict[str, Any]:
        answer = await unless_gone(request, generations.whole(_ask(body, texts)))
        return _whole(answer, body, texts)

    @router.post("/generate")
    async def generate(body: GenerateRequest, request: Request) -> JSONResponse:
        return JSONResponse(await whole(body, request))

    @router.post("/generate_stream")
    async def generate_stream(body: GenerateRequest) -> StreamingResponse:
        items = await opened(generations.stream(_ask(body, texts)))
        return StreamingResponse(_events(items, body, texts), media_type="text/event-stream")

    @router.post("/")
    async def compat(body: CompatRequest, request: Request) -> Response:
        # TGI returns the prompt too on this route unless told otherwise
        full = body.parameters.return_full_text in {None, True}
        body = body.model_copy(update={"parameters": body.parameters.model_copy(update={"return_full_text": full})})
        return await generate_stream(body) if body.stream else JSONResponse([await whole(body, request)])

    return router


def _ask(body: GenerateRequest, texts: Texts) -> Ask:
    parameters = body.parameters
    return Ask(
        prompt=texts.encode(body.inputs),
        sampling=parameters.sampling,
        seed=parameters.seed,
        max_new_tokens=parameters.max_new_tokens,
        stop=parameters.stop,
        adapter=parameters.adapter_id,
        grammar=parameters.grammar.value if parameters.grammar else None,
    )


def _whole(answer: Generation, body: GenerateRequest, texts: Texts) -> dict[str, Any]:
    whole: dict[str, Any] = {"generated_text": _text(answer, body)}
    if body.parameters.details:
        tokens = [_token(choice, texts.piece(choice.token), texts) for choice in answer.tokens]
        whole["details"] = _ending(answer) | {"prefill": [], "tokens": tokens}
    return whole


async def _events(items: AsyncIterator[Choice | Generation], body: GenerateRequest, texts: Texts) -> AsyncIterator[str]:
    """Yield the events of a stream.

    The last token's event carries the whole text, so every token waits for what follows it.
    """
    index, pending, tail = 0, None, Tail(texts)
    try:
        async for item in items:
            if pending is not None:
                end = (_text(item, body), _ending(item)) if isinstance(item, Generation) else (None, None)
                yield _event({"index": index, "token": pending, "generated_text": end[0], "details": end[1]})
            if isinstance(item, Choice):
                index += 1
                special = texts.special(item.token)
                pending = _token(item, texts.piece(item.token) if special else tail.push(item.token), texts)
    except ArchloopError as error:
        yield _event(body_of(error))


def _token(choice: Choice, text: str, texts: Texts) -> dict[str, Any]:
    return {"id": choice.token, "text": text, "logprob": choice.logprob, "special": texts.special(choice.token)}


def _ending(answer: Generation) -> dict[str, Any]:
    return {
        "finish_reason": answer.finish,
        "generated_tokens": len(answer.tokens),
        "seed": answer.seed,
        "input_length": answer.prompt_tokens,
    }


def _text(answer: Generation, body: GenerateRequest) -> str:
    return body.inputs + answer.text if body.parameters.return_full_text else answer.text


def _event(data: dict[str, Any]) -> str:
    return f"data:{json.dumps(data)}\n\n"
