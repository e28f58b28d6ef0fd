"""Errors that huggingface_hub raises (2.4.0), and messages of TGI and vLLM, as our errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import InferenceTimeoutError
from huggingface_hub.errors import (
    GenerationError,
    HfHubHTTPError,
    IncompleteGenerationError,
    OverloadedError,
    TextGenerationError,
    ValidationError,
)

from archloop.errors import ArchloopError, InvalidInput, Unavailable
from services.generator import transport
from services.generator.errors import AdapterMissing, GenerationFailed, ServerOverloaded, TooLong

_OVERLOADED, _INVALID = "overloaded", "input validation error"
_LENGTH = ("max_new_tokens", "max_tokens", "max_total_tokens", "context length", "max_model_len")


@contextmanager
def translated(adapter: str | None) -> Iterator[None]:
    """Raise our error for each of huggingface_hub's; by the chat route all of its own are HfHubHTTPError."""
    try:
        yield
    except ArchloopError:
        raise
    except OverloadedError as error:
        raise ServerOverloaded(f"the model server is overloaded: {error}") from error
    except ValidationError as error:
        raise _refusal(str(error)) from error
    except (GenerationError, IncompleteGenerationError) as error:
        raise GenerationFailed(f"the model server could not generate: {error}") from error
    except InferenceTimeoutError as error:
        raise Unavailable("the model server did not answer in time") from error
    except TextGenerationError as error:
        raise (_by_event(error) or _by_status(error, adapter)) from error
    except HfHubHTTPError as error:
        raise _by_status(error, adapter) from error
    except (*transport.ERRORS, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unavailable(f"no answer from the model server: {error!r}") from error


def _by_event(error: TextGenerationError) -> ArchloopError | None:
    """Return the error for an error event of a chat stream, if it is one.

    TGI always says 422 there, so its message has to tell.
    """
    event = error.args[0] if error.args else None
    if not isinstance(event, dict):
        return None
    said = str(event.get("message", event))
    if _OVERLOADED in said.lower() or event.get("code") == 429:
        return ServerOverloaded(f"the model server is overloaded: {said}")
    if _INVALID in said.lower() or event.get("code") == 400:
        return _refusal(said)
    return GenerationFailed(f"the model server could not generate: {said}")


def _by_status(error: Exception, adapter: str | None) -> ArchloopError:
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    said = getattr(error, "server_message", None) or str(error)
    match response.status_code if response is not None else None:
        case 404 if adapter:
            return AdapterMissing(f"the model server does not have adapter {adapter!r}")
        case 400 | 413 | 422:
            return _refusal(said)
        case 424:
            return GenerationFailed(f"the model server could not generate: {said}")
        case 429:
            return ServerOverloaded(f"the model server is overloaded: {said}")
    return Unavailable(f"the model server failed: {said}")


def _refusal(said: str) -> InvalidInput:
    kind = TooLong if any(word in said for word in _LENGTH) else InvalidInput
    return kind("generation request", "…", said)
