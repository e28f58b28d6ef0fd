"""Settings of the novelty service, read from `ARCHLOOP_NOVELTY_…`."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from archloop.ops.settings import S3Settings, config
from services.novelty.constants import Sizes


class NoveltySettings(S3Settings):
    """`k`, `permutations` and `sizes` are part of what is stored: a store is bound to the values it was made with."""

    service: ClassVar[str] = "novelty"
    own_port: ClassVar[int] = 8003
    model_config = config("novelty")

    store: Path = Path("novelty.sqlite")
    k: Annotated[int, Field(ge=1, le=64)] = 7
    permutations: Annotated[int, Field(ge=16, le=1024)] = 128
    sizes: Sizes = "kept"
