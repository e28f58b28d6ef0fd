"""Parameters that this server does not have: a value without effect is accepted, any other is refused by name."""

from collections.abc import Mapping
from typing import Any

# TGI's own, and the values of each that leave an answer as it is.
NATIVE: Mapping[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "decoder_input_details": (False,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "top_n_tokens": (0,),
    "truncate": (),
    "typical_p": (1,),
    "watermark": (False,),
}
# Beside the parameters.
BODY: Mapping[str, tuple[Any, ...]] = {"add_special_tokens": (True,), "stream": (True, False)}
# OpenAI's, TGI's and vLLM's.
CHAT: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "ignore_eos": (False,),
    "logit_bias": ({}, []),
    "length_penalty": (1,),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "presence_penalty": (0,),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_token_ids": ([],),
    "stream_options": ({}, {"include_usage": True}, {"include_usage": False}),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "typical_p": (1,),
    "use_beam_search": (False,),
}
# Beside the grammar of structured outputs.
STRUCTURED_OUTPUTS: Mapping[str, tuple[Any, ...]] = {}
# Of one message of a conversation.
MESSAGE: Mapping[str, tuple[Any, ...]] = {"tool_calls": ([],), "annotations": ([],)}
# vLLM's, of adapters that are loaded and unloaded; the number of an adapter is its own affair.
LOAD: Mapping[str, tuple[Any, ...]] = {"load_inplace": (False,), "is_3d_lora_weight": (False,)}
UNLOAD: Mapping[str, tuple[Any, ...]] = {"lora_int_id": ()}
# What tells a server who asks, or how to account for it, and nothing of the answer.
SILENT = frozenset({"metadata", "prompt_cache_key", "request_id", "safety_identifier", "service_tier", "store", "user"})


def first(given: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]) -> str | None:
    """Return the first name that asks for what this server does not do.

    A name that nobody knows does so unless its value is null.
    """
    asking = (name for name, value in given.items() if value is not None and name not in SILENT)
    return next(
        (name for name in asking if not any(_same(given[name], nothing) for nothing in known.get(name, ()))), None
    )


def _same(value: Any, nothing: Any) -> bool:
    """Return whether both values are equal, where true is not 1 and false not 0."""
    return bool(value == nothing) and isinstance(value, bool) == isinstance(nothing, bool)
