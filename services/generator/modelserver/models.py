"""Model versions in memory: the base, and merged copies of it that share every weight LoRA leaves alone."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from huggingface_hub import HfApi, constants, try_to_load_from_cache
from torch.nn import Module, Parameter
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from archloop.adapters import ADAPTER_FILES, WEIGHTS_FILE
from archloop.errors import InvalidInput, NotFound
from archloop.models import fingerprint, locate
from services.generator.modelserver.slots import ATTENTION
from services.generator.modelserver.texts import Texts
from services.generator.transport import TransportError

_HUB_S = 10.0


class Base(NamedTuple):
    """Base model in float32, its name and its tokenizer."""

    name: str
    sha256: str
    model: Any
    texts: Texts
    eos: frozenset[int]
    max_length: int


def load_base(name: str, max_length: int) -> Base:
    """Load a model from `archloop.models`, a folder or the hub. Raises NotFound where there is none."""
    disable_progress_bar()
    _look_up(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(locate(name))
        model = AutoModelForCausalLM.from_pretrained(
            locate(name), dtype=torch.float32, attn_implementation=ATTENTION, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise NotFound("base model", name, f"something that cannot be loaded: {error}") from error
    own = getattr(model.config, "max_position_embeddings", max_length)
    return Base(name, fingerprint(name), model.eval(), Texts(tokenizer), _eos(model, tokenizer), min(own, max_length))


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


def merged(base: Any, folder: Path) -> Any:
    """Return a copy of `base` with the adapter's deltas added, without reading a pickle.

    Raises NotFound, InvalidInput.
    """
    from peft import PeftModel

    if not folder.is_dir():
        raise NotFound("adapter folder", str(folder))
    if not (folder / WEIGHTS_FILE).is_file():
        raise InvalidInput("lora_path", str(folder), f"a folder that holds {' and '.join(ADAPTER_FILES)}")
    try:
        tuned = PeftModel.from_pretrained(_twin(base), str(folder), is_trainable=False)
        return tuned.merge_and_unload(safe_merge=True).eval()
    except Exception as error:
        raise InvalidInput("lora_path", str(folder), f"an adapter of this base model ({error})") from error


def _twin(model: Module) -> Module:
    """Copy the architecture over the same storage; replacing one of its weights leaves the original's alone."""
    shared = {id(weight): Parameter(weight.data, requires_grad=False) for weight in model.parameters()}
    return copy.deepcopy(model, shared)


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    several = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*several, tokenizer.eos_token_id) if token is not None)
