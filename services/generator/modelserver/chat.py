"""Route `/v1/chat/completions` of OpenAI, as far as TGI has it. `model` chooses the adapter."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from archloop.errors import ArchloopError
from services.generator.modelserver.errors import status_of
from services.generator.modelserver.generation import Ask, Generation, Generations
from services.generator.modelserver.patience import opened, unless_gone
from services.generator.modelserver.sampling import Choice
from services.generator.modelserver.sequence import Finish
from services.generator.modelserver.texts import Tail, Texts
from services.generator.modelserver.wire import ChatRequest

_BASE = "tgi"


def routes(generations: Generations) -> APIRouter:
    """Return the router over these generations."""
    router, base = APIRouter(), generations.fleet.base

    @router.post("/v1/chat/completions", response_model=None)
    async def complete(body: ChatRequest, request: Request) -> StreamingResponse | dict[str, Any]:
        ask = _ask(body, base.texts)
        head = _head(base.name if body.model == _BASE else body.model)
        if body.stream:
            items = await opened(generations.stream(ask))
            return StreamingResponse(_events(items, head, base.texts, body.logprobs), media_type="text/event-stream")
        return _whole(await unless_gone(request, generations.whole(ask)), head, base.texts if body.logprobs else None)

    return router


def _ask(body: ChatRequest, texts: Texts) -> Ask:
    return Ask(
        prompt=texts.encode_chat([message.model_dump(include={"role", "content"}) for message in body.messages]),
        sampling=body.sampling,
        seed=body.seed,
        max_new_tokens=body.most_tokens,
        stop=body.stop,
        adapter=None if body.model == _BASE else body.model,
        grammar=body.structured_outputs.grammar if body.structured_outputs else None,
    )


def _head(model: str) -> dict[str, Any]:
    return {"id": "", "created": int(time.time()), "model": model, "system_fingerprint": "archloop"}


def _whole(answer: Generation, head: dict[str, Any], texts: Texts | None) -> dict[str, Any]:
    """Return the body of a complete answer; `texts` adds the log-probabilities."""
    message = {"role": "assistant", "content": answer.text}
    logprobs = _logprobs(answer.tokens, texts) if texts else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _reason(answer)}
    return head | {"object": "chat.completion", "choices": [choice], "usage": _usage(answer)}


async def _events(
    items: AsyncIterator[Choice | Generation], head: dict[str, Any], texts: Texts, logprobs: bool
) -> AsyncIterator[str]:
    head, tail, sent = head | {"object": "chat.completion.chunk"}, Tail(texts), 0
    try:
        async for item in items:
            if isinstance(item, Generation):
                rest = item.text[sent:]  # a character that the last token left open
                yield _event(head | {"choices": [_delta(rest, _reason(item))], "usage": _usage(item)})
            elif (text := tail.push(item.token)) or logprobs:
                sent += len(text)
                told = _logprobs([item], texts) if logprobs else None
                yield _event(head | {"choices": [_delta(text) | {"logprobs": told}]})
    except ArchloopError as error:
        yield _event({"error": {"message": str(error), "http_status_code": status_of(error)}})
    yield "data: [DONE]\n\n"


def _delta(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "logprobs": None, "finish_reason": reason}


def _logprobs(tokens: Sequence[Choice], texts: Texts) -> dict[str, Any]:
    return {"content": [{"token": texts.piece(t.token), "logprob": t.logprob, "top_logprobs": []} for t in tokens]}


def _reason(answer: Generation) -> str:
    return "length" if answer.finish is Finish.LENGTH else "stop"


def _usage(answer: Generation) -> dict[str, int]:
    generated = len(answer.tokens)
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": answer.prompt_tokens + generated,
    }


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"
