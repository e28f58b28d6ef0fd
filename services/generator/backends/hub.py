"""Generation through huggingface_hub's client: text with `adapter_id`, or chat with `model`."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from huggingface_hub import AsyncInferenceClient, ChatCompletionInputStreamOptions

from archloop.contracts.values import Usage
from archloop.errors import Unavailable
from services.generator.backends.hub_errors import translated
from services.generator.backends.port import Answer, Decoding
from services.generator.errors import GenerationFailed
from services.generator.transport import Inference

_STREAMS = 64
_WITH_USAGE = ChatCompletionInputStreamOptions(include_usage=True)


@dataclass
class _Connection:
    """Client with the streams that it carries. It keeps them all open until it is closed (huggingface_hub 2.4.0)."""

    client: AsyncInferenceClient
    begun: int = 0
    open: int = 0


@dataclass
class Hub:
    """Client of one server's generation routes.

    `streams`: read answers token by token, so that `timeout_s` bounds a silence and not the whole answer.
    """

    url: str
    timeout_s: float = 120.0
    token: str = ""
    streams: bool = False
    _connection: _Connection | None = field(default=None, init=False)

    async def text(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None) -> Answer:
        """Generate by TGI's own route; `adapter_id` chooses the adapter."""

        async def ask(client: AsyncInferenceClient, stream: bool) -> _Given:
            given: Any = await client.text_generation(
                prompt,
                details=True,
                stream=stream,
                return_full_text=False,
                adapter_id=adapter,
                seed=seed,
                max_new_tokens=decoding.max_new_tokens,
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                top_k=decoding.top_k,
                do_sample=decoding.temperature is not None,
                grammar=_grammar(decoding),
            )
            return await _streamed_text(given) if stream else _whole_text(given)

        return await self._answer(ask, adapter)

    async def chat(self, prompt: str, decoding: Decoding, seed: int | None, adapter: str | None, model: str) -> Answer:
        """Generate by OpenAI's route, as one turn of the user.

        The field `model` of the request chooses the adapter; without one it is the given name of the base model.
        """

        async def ask(client: AsyncInferenceClient, stream: bool) -> _Given:
            given: Any = await client.chat_completion(
                [{"role": "user", "content": prompt}],
                model=adapter or model,
                logprobs=True,
                seed=seed,
                max_tokens=decoding.max_new_tokens,
                temperature=decoding.temperature or 0.0,
                top_p=decoding.top_p,
                stream=stream,
                stream_options=_WITH_USAGE if stream else None,
                extra_body=_extras(decoding),
            )
            return await _streamed_chat(given) if stream else _whole_chat(given)

        return await self._answer(ask, adapter)

    async def close(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            await self._connection.client.close()  # type: ignore[no-untyped-call]

    async def _answer(self, ask: "_Ask", adapter: str | None) -> Answer:
        began = time.perf_counter()
        try:
            text, usage, finish, logprob = await self._asked(ask, adapter, self.streams)
        except _Unreadable:
            # Whatever Unicode calls a line break, such as U+2028 within an answer, tears the event for
            # huggingface_hub 2.4.0, and would each time.
            text, usage, finish, logprob = await self._asked(ask, adapter, False)
        usage = usage.model_copy(update={"seconds": time.perf_counter() - began})
        return Answer(text, usage, finish, adapter, logprob)

    async def _asked(self, ask: "_Ask", adapter: str | None, stream: bool) -> "_Given":
        connection = await self._current()
        connection.open += 1
        try:
            with translated(adapter):
                return await ask(connection.client, stream)
        finally:
            connection.open -= 1
            await self._let_go(connection)

    async def _current(self) -> _Connection:
        full = self._connection
        if full is None or (self.streams and full.begun >= _STREAMS):
            self._connection = _Connection(Inference(self.url, self.token, self.timeout_s), begun=1)
            if full is not None:
                await self._let_go(full)
            return self._connection
        full.begun += 1
        return full

    async def _let_go(self, connection: _Connection) -> None:
        """Close a connection that takes nothing new, when its last stream has ended."""
        if connection is not self._connection and not connection.open:
            await connection.client.close()  # type: ignore[no-untyped-call]


_Given = tuple[str, Usage, str, float]
_Ask = Callable[[AsyncInferenceClient, bool], Awaitable[_Given]]


class _Unreadable(Unavailable):
    """An event of the stream is no JSON."""


def _grammar(decoding: Decoding) -> Any:
    """Return TGI's field of that name, of a type that our own server alone has."""
    return {"type": "lark", "value": decoding.grammar} if decoding.grammar else None


def _extras(decoding: Decoding) -> dict[str, Any] | None:
    """Return what vLLM has beyond OpenAI's fields."""
    given = {
        "top_k": decoding.top_k,
        "structured_outputs": {"grammar": decoding.grammar} if decoding.grammar else None,
    }
    return {name: value for name, value in given.items() if value} or None


def _whole_text(output: Any) -> _Given:
    details = output.details
    if details is None:
        raise GenerationFailed("the model server's answer has no details: it is not complete")
    usage = Usage(prompt_tokens=getattr(details, "input_length", 0), completion_tokens=details.generated_tokens)
    return output.generated_text, usage, details.finish_reason, sum(token.logprob for token in details.tokens)


async def _streamed_text(stream: Any) -> _Given:
    logprob, last = 0.0, None
    async for last in _events(stream):
        logprob += last.token.logprob
    if last is None or last.generated_text is None or last.details is None:
        raise GenerationFailed("the model server's stream ended before the answer was complete")
    usage = Usage(prompt_tokens=last.details.input_length, completion_tokens=last.details.generated_tokens)
    return last.generated_text, usage, last.details.finish_reason, logprob


def _whole_chat(output: Any) -> _Given:
    choice = output.choices[0]
    return choice.message.content or "", _used(output.usage), choice.finish_reason, _logprob(choice)


async def _streamed_chat(stream: Any) -> _Given:
    text, finish, logprob, usage = "", None, 0.0, Usage()
    async for item in _events(stream):
        usage = _used(item.usage) if item.usage else usage
        for choice in item.choices:
            text += choice.delta.content or ""
            logprob += _logprob(choice)
            finish = choice.finish_reason or finish
    if finish is None:
        raise GenerationFailed("the model server's stream ended before the answer was complete")
    return text, usage, finish, logprob


async def _events(stream: Any) -> AsyncIterator[Any]:
    try:
        async for event in stream:
            yield event
    except json.JSONDecodeError as error:
        raise _Unreadable(f"the model server's stream cannot be read: {error}") from error


def _logprob(choice: Any) -> float:
    return sum(token.logprob for token in choice.logprobs.content or ()) if choice.logprobs else 0.0


def _used(usage: Any) -> Usage:
    return Usage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
