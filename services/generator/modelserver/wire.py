"""Request bodies of TGI with its validation rules (TGI 3.3.7, router/src/validation.rs)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from services.generator.modelserver import unsupported
from services.generator.modelserver.sampling import Sampling

MAX_STOP_SEQUENCES = 4


def _float32(value: float) -> float:
    """Raise an error for a value that rounds to 0 or to infinity in 32-bit arithmetic."""
    with np.errstate(over="ignore"):
        if value and not 0 < np.float32(value) < np.inf:
            raise PydanticCustomError("temperature", "must be strictly positive and finite as a 32-bit float")
    return value


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _is_text(part: Any) -> bool:
    match part:
        case {"type": "text", "text": str(), **others}:
            return not others
    return False


def _joined(value: Any) -> Any:
    """Join the parts of a content that are text, as TGI does; what has other parts stays as it is, and is refused."""
    if isinstance(value, list) and value and all(map(_is_text, value)):
        return "".join(part["text"] for part in value)
    return value


# Of JSON's own type: neither "7", 7.0 nor true is a whole number, as in TGI.
Seed = Annotated[int, Field(ge=0, lt=2**64, strict=True)]
Stops = Annotated[tuple[str, ...], Field(max_length=MAX_STOP_SEQUENCES)]
Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True), AfterValidator(_float32)]
TopK = Annotated[int, Field(gt=0, strict=True)]
GrammarText = Annotated[str, Field(min_length=1, max_length=1024**2)]
Tokens = Annotated[int, Field(ge=1, strict=True)]


class _Known(BaseModel):
    """Body of which unsupported fields are refused, not ignored."""

    model_config = ConfigDict(extra="allow")
    unsupported: ClassVar[Mapping[str, tuple[Any, ...]]]

    @model_validator(mode="after")
    def _nothing_unsupported(self) -> Self:
        if name := unsupported.first(self.model_extra or {}, self.unsupported):
            raise PydanticCustomError("unsupported", "`{name}` is not supported by this server", {"name": name})
        return self


class _Parameters(_Known):
    """Body in which null means absent."""

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        return {k: v for k, v in given.items() if v is not None} if isinstance(given, dict) else given


class Grammar(BaseModel):
    """Field `grammar` of TGI, of a type that TGI has not: Lark's syntax with llguidance's extensions."""

    type: Literal["lark"]
    value: GrammarText


class StructuredOutputs(_Known):
    """Field of that name of vLLM's, of which a grammar is known here."""

    unsupported = unsupported.STRUCTURED_OUTPUTS

    grammar: GrammarText


class Parameters(_Parameters):
    """Field `parameters` of the native routes."""

    unsupported = unsupported.NATIVE

    adapter_id: str | None = None
    do_sample: StrictBool = False
    temperature: Annotated[Temperature, Field(gt=0)] | None = None
    top_k: TopK | None = None
    top_p: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None
    max_new_tokens: Tokens | None = None
    seed: Seed | None = None
    stop: Stops = ()
    details: StrictBool = False
    return_full_text: StrictBool | None = None
    grammar: Grammar | None = None

    @property
    def sampling(self) -> Sampling:
        """Decoding parameters."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.do_sample)


class GenerateRequest(_Known):
    """Body of `/generate` and `/generate_stream`, whose path says whether it streams."""

    unsupported = unsupported.BODY

    inputs: Annotated[str, Field(min_length=1)]
    parameters: Parameters = Parameters()


class CompatRequest(GenerateRequest):
    """Body of `/`."""

    stream: StrictBool = False


class ChatMessage(_Known):
    """One turn of a conversation."""

    unsupported = unsupported.MESSAGE

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_joined)]


class ChatRequest(_Parameters):
    """Body of `/v1/chat/completions`. `model`: an adapter, or the base by its own name or "tgi"; `top_k` is vLLM's."""

    unsupported = unsupported.CHAT

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str = "tgi"
    stream: StrictBool = False
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None
    top_k: TopK | None = None
    logprobs: StrictBool = False
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    seed: Seed | None = None
    stop: Annotated[Stops, BeforeValidator(_several)] = ()
    structured_outputs: StructuredOutputs | None = None

    @property
    def most_tokens(self) -> int | None:
        """Most tokens to generate: the smaller of OpenAI's old and new name for it."""
        return min(filter(None, (self.max_tokens, self.max_completion_tokens)), default=None)

    @property
    def sampling(self) -> Sampling:
        """Decoding parameters; other than on the native routes a temperature of 0 is greedy, `top_p` 1 is none."""
        if self.temperature == 0:
            return Sampling()
        return Sampling(self.temperature, self.top_k, None if self.top_p == 1 else self.top_p, do_sample=True)


class LoadRequest(_Known):
    """Body of `/v1/load_lora_adapter`, with vLLM's names; the path is the server's own."""

    unsupported = unsupported.LOAD

    lora_name: Annotated[str, Field(pattern=r"^[a-z0-9](?:-?[a-z0-9])*$", max_length=63)]
    lora_path: str


class UnloadRequest(_Known):
    """Body of `/v1/unload_lora_adapter`."""

    unsupported = unsupported.UNLOAD

    lora_name: str


def problem(error: dict[str, Any]) -> str:
    """Word one of pydantic's errors as TGI would: the parameter, then what is wrong."""
    where = ".".join(str(part) for part in error["loc"] if part != "body")
    return f"`{where}`: {error['msg']}" if where else str(error["msg"])
