"""Settings of the generator service, read from `ARCHLOOP_GENERATOR_…`."""

import socket
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from archloop.contracts.topology import GENERATOR
from archloop.ops.settings import S3Settings, Seconds, WebAddress, config


class GeneratorSettings(S3Settings):
    """Where the model server is, and what this replica may ask of it."""

    service: ClassVar[str] = "generator"
    own_port: ClassVar[int] = 8001
    model_config = config("generator")

    server_url: WebAddress = "http://127.0.0.1:8080"
    api_token: SecretStr = SecretStr("")
    request_timeout_s: Seconds = 120.0
    replica: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(default_factory=socket.gethostname)
    concurrency: Annotated[int, Field(ge=1)] = GENERATOR.prefetch
    cache_dir: Path = Path("adapters")
    max_adapter_bytes: Annotated[int, Field(ge=1)] = 2 * 1024**3
