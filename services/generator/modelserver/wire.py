"""TGI's request bodies with its validation rules (TGI 3.3.7, router/src/validation.rs)."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.generator.modelserver.sampling import Sampling

MAX_STOP_SEQUENCES = 4
_UNSUPPORTED = (
    "best_of",
    "decoder_input_details",
    "frequency_penalty",
    "grammar",
    "repetition_penalty",
    "top_n_tokens",
    "truncate",
    "typical_p",
    "watermark",
)

Seed = Annotated[int, Field(ge=0, lt=2**64)]
Stops = Annotated[tuple[str, ...], Field(max_length=MAX_STOP_SEQUENCES)]
Temperature = Annotated[float, Field(gt=0)]
TopP = Annotated[float, Field(gt=0, lt=1)]
Tokens = Annotated[int, Field(ge=1)]


class Parameters(BaseModel):
    """`parameters` of the native routes. Those of TGI that this server does not have are refused, not ignored."""

    model_config = ConfigDict(extra="allow")

    adapter_id: str | None = None
    do_sample: bool = False
    temperature: Temperature | None = None
    top_k: Annotated[int, Field(gt=0)] | None = None
    top_p: TopP | None = None
    max_new_tokens: Tokens | None = None
    seed: Seed | None = None
    stop: Stops = ()
    details: bool = False
    return_full_text: bool | None = None

    @model_validator(mode="after")
    def _nothing_unsupported(self) -> Self:
        extra = self.model_extra or {}
        if asked := [name for name in _UNSUPPORTED if extra.get(name)]:
            raise ValueError(f"`{asked[0]}` is not supported by this server")
        return self

    @property
    def sampling(self) -> Sampling:
        """The decoding part."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.do_sample)


class GenerateRequest(BaseModel):
    """Body of `/generate` and `/generate_stream`."""

    inputs: Annotated[str, Field(min_length=1)]
    parameters: Parameters = Parameters()


class CompatRequest(GenerateRequest):
    """Body of `/`."""

    stream: bool = False


class ChatMessage(BaseModel):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """Body of `/v1/chat/completions`. `model`: an adapter, or the base by its own name or "tgi"; `top_k` is vLLM's."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str = "tgi"
    stream: bool = False
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: TopP | None = None
    top_k: Annotated[int, Field(gt=0)] | None = None
    logprobs: bool = False
    max_tokens: Tokens | None = None
    seed: Seed | None = None
    stop: Stops = ()

    @property
    def sampling(self) -> Sampling:
        """The decoding part; a temperature of 0 is greedy here, unlike on the native routes."""
        return (
            Sampling() if self.temperature == 0 else Sampling(self.temperature, self.top_k, self.top_p, do_sample=True)
        )


class LoadRequest(BaseModel):
    """Body of `/v1/load_lora_adapter`: vLLM's names; the path is the server's own."""

    lora_name: Annotated[str, Field(pattern=r"^[a-z0-9](?:-?[a-z0-9])*$", max_length=63)]
    lora_path: str


class UnloadRequest(BaseModel):
    """Body of `/v1/unload_lora_adapter`."""

    lora_name: str


def problem(error: dict[str, Any]) -> str:
    """One of pydantic's errors as TGI would word it: the parameter, then what is wrong."""
    where = ".".join(str(part) for part in error["loc"] if part != "body")
    return f"`{where}`: {error['msg']}" if where else str(error["msg"])
