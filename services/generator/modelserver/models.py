"""The base model in memory, in the numbers that suit model and machine."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from transformers import PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from archloop.errors import InvalidInput, NotFound
from archloop.models import fingerprint, locate
from services.generator.modelserver import int8, llama, llama_float32, llama_int8
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.texts import Texts
from services.generator.transport import TransportError

_HUB_S = 10.0
_SMALL = 20_000_000
_PLAIN = {"PreTrainedTokenizerFast", "TokenizersBackend"}


class Weights(StrEnum):
    """In which numbers a model's weights are kept."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class Base(NamedTuple):
    """Base model, its name and its tokenizer."""

    name: str
    sha256: str
    decoder: Decoder
    texts: Texts
    eos: frozenset[int]
    max_length: int
    weights: Weights = Weights.FLOAT32
    device: str = "cpu"


def load_base(name: str, max_length: int, *, weights: str = "auto", device: str = "cpu") -> Base:
    """Load a model from `archloop.models`, a folder or the hub. Raises NotFound where there is none, InvalidInput."""
    disable_progress_bar()
    _look_up(name)
    where = locate(name)
    try:
        config, tokenizer = _described(where, "config.json"), _tokenizer(where)
        kept = _weights(weights, config, device)
        most = min(config.get("max_position_embeddings") or max_length, max_length)
        decoder = _decoder(config, where, most, kept, device)
        eos = _eos(_described(where, "generation_config.json") or config, tokenizer)
    except (OSError, ValueError, KeyError) as error:
        raise NotFound("base model", name, f"something that cannot be loaded: {error}") from error
    return Base(name, fingerprint(name), decoder, Texts(tokenizer), eos, most, kept, device)


def _described(where: str, name: str) -> Mapping[str, Any]:
    """Return what this file of a model says, nothing where there is none. Raises ValueError, OSError.

    To let transformers read it takes a second: it imports the model's code, and a compiler with it.
    """
    try:
        path = Path(where, name) if Path(where).is_dir() else Path(hf_hub_download(where, name))
        said = json.loads(path.read_bytes())
    except (FileNotFoundError, EntryNotFoundError):
        return {}
    if not isinstance(said, dict):
        raise ValueError(f"{name} is no JSON object")  # noqa: TRY004 - what a file says, not how we are called
    return said


def _tokenizer(where: str) -> Any:
    """Load the tokenizer; one that is what its tokenizer.json says needs no look for its class, which takes seconds."""
    if _described(where, "tokenizer_config.json").get("tokenizer_class") in _PLAIN:
        return PreTrainedTokenizerFast.from_pretrained(where)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(where)


def _weights(asked: str, config: Mapping[str, Any], device: str) -> Weights:
    """Choose the numbers: 8 bits where processor and model are made for it, and the model is no small one."""
    unfit = llama.unfit(config) or (None if device == "cpu" else f"device {device}")
    if asked != "auto":
        if asked == Weights.INT8 and unfit:
            raise InvalidInput("weights", asked, f"float32 or bfloat16, for 8 bits do not serve {unfit}")
        return Weights(asked)
    if device != "cpu":
        return Weights.BFLOAT16
    suits = unfit is None and int8.fast() and llama.Shape.of(config).parameters > _SMALL
    return Weights.INT8 if suits else Weights.FLOAT32


def _decoder(config: Mapping[str, Any], where: str, max_length: int, weights: Weights, device: str) -> Decoder:
    """Load the weights into code of our own, or into transformers', which takes seconds and memory to import."""
    if device == "cpu" and weights is not Weights.BFLOAT16 and llama.unfit(config) is None:
        load = llama_int8.load if weights is Weights.INT8 else llama_float32.load
        return load(llama.Shape.of(config), Checkpoint(where), max_length)
    from services.generator.modelserver import transformers_model

    return transformers_model.load(where, device, halved=weights is Weights.BFLOAT16)


def _look_up(name: str) -> None:
    """Ask the hub once for a model that is not here: the libraries' own downloads try each file for half a minute."""
    where = locate(name)
    try:
        if Path(where).is_dir() or constants.is_offline_mode():
            return
        if try_to_load_from_cache(where, "config.json") is None:
            HfApi().model_info(where, timeout=_HUB_S)
    except (TransportError, OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise NotFound("base model", name, f"none here, and the hub cannot give it: {said}") from error


def _eos(config: Mapping[str, Any], tokenizer: Any) -> frozenset[int]:
    configured = config.get("eos_token_id")
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
