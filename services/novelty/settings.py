"""Settings of the novelty service, read from `ARCHLOOP_NOVELTY_…`."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from archloop.ops.settings import ServiceSettings, config
from services.novelty.expressions import Sizes


class NoveltySettings(ServiceSettings):
    """All but `store` are part of what is stored: a store is bound to the values that it was made with."""

    service: ClassVar[str] = "novelty"
    model_config = config("novelty")

    store: Path = Path("novelty.sqlite")
    k: Annotated[int, Field(ge=1, le=64)] = 7
    permutations: Annotated[int, Field(ge=16, le=1024)] = 128
    sizes: Sizes = "kept"
