"""Cuts what a prompt says of earlier cycles to the tokens that it may have, where a tokenizer is here to count them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import structlog
from tokenizers import Tokenizer

from archloop import models, remembering
from archloop.contracts.values import Remembered
from archloop.errors import NotFound

log = structlog.get_logger(__name__)


def fitting(memory: Sequence[Remembered], most: int, base_model: str) -> Sequence[Remembered]:
    """Return as many of the first as have so many tokens together; all where there is no tokenizer to tell."""
    tokenizer = _tokenizer(base_model) if memory else None
    if tokenizer is None:
        return memory
    return remembering.fitting(memory, most, lambda line: len(tokenizer.encode(line, add_special_tokens=False).ids))


@lru_cache(maxsize=4)
def _tokenizer(base_model: str) -> Tokenizer | None:
    """Return None for a model whose files are elsewhere: the run has bounded the characters."""
    try:
        path = Path(models.locate(base_model)) / "tokenizer.json"
        return Tokenizer.from_file(str(path)) if path.is_file() else None
    except (NotFound, OSError) as error:
        log.info("no tokenizer: the memory is cut by characters", base_model=base_model, error=str(error))
        return None
