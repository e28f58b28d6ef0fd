"""The base model in memory, in the numbers that suit model and machine."""

from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, constants, try_to_load_from_cache
from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.utils.logging import disable_progress_bar

from archloop.errors import InvalidInput, NotFound
from archloop.models import fingerprint, locate
from services.generator.modelserver import int8, llama
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.texts import Texts
from services.generator.transport import TransportError

_HUB_S = 10.0
_SMALL = 20_000_000


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
        tokenizer = AutoTokenizer.from_pretrained(where)
        config = AutoConfig.from_pretrained(where)
        kept = _weights(weights, config, device)
        most = min(getattr(config, "max_position_embeddings", max_length), max_length)
        if kept is Weights.INT8:
            decoder: Decoder = llama.load(config, Checkpoint(where), most)
        else:
            decoder = _of_transformers(where, kept, device)
        eos = _eos(where, config, tokenizer)
    except (OSError, ValueError, KeyError) as error:
        raise NotFound("base model", name, f"something that cannot be loaded: {error}") from error
    return Base(name, fingerprint(name), decoder, Texts(tokenizer), eos, most, kept, device)


def _weights(asked: str, config: Any, device: str) -> Weights:
    """Choose the numbers: 8 bits where processor and model are made for it, and the model is no small one."""
    unfit = llama.unfit(config) or (None if device == "cpu" else f"device {device}")
    if asked != "auto":
        if asked == Weights.INT8 and unfit:
            raise InvalidInput("weights", asked, f"float32 or bfloat16, for 8 bits do not serve {unfit}")
        return Weights(asked)
    if device != "cpu":
        return Weights.BFLOAT16
    return Weights.INT8 if unfit is None and int8.fast() and _parameters(config) > _SMALL else Weights.FLOAT32


def _parameters(config: Any) -> int:
    """Return about how many parameters a model of Llama's shape has."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    return int(config.vocab_size * hidden + config.num_hidden_layers * hidden * (2 * hidden + 3 * intermediate))


def _of_transformers(where: str, weights: Weights, device: str) -> Decoder:
    """Load what transformers' own code computes; to import that takes a second, and memory, which 8 bits do without."""
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


def _eos(where: str, config: Any, tokenizer: Any) -> frozenset[int]:
    try:
        configured = GenerationConfig.from_pretrained(where).eos_token_id
    except OSError:
        configured = config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
