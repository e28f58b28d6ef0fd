"""Settings of the generator service, read from `ARCHLOOP_GENERATOR_…`."""

import socket
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr

from archloop.contracts.topology import GENERATOR
from archloop.ops.settings import S3Settings, Seconds, WebAddress, config

Price = Annotated[float, Field(ge=0)]


class GeneratorSettings(S3Settings):
    """Where the model server is, and what this replica may ask of it.

    `backend` is what it speaks: our own `cpu` server, `vllm`, or `tgi`, which takes adapters at its start only and is
    replaced for each. `base_model` is its model as runs name it, `served_as` as the server does, where that differs;
    our own server tells both. `chat` is for a TGI whose model was tuned on turns. With `every_address` there is a
    server behind each address of the URL's host name. Prices are per million tokens.
    """

    service: ClassVar[str] = "generator"
    own_port: ClassVar[int] = 8001
    model_config = config("generator")

    server_url: WebAddress = "http://127.0.0.1:8080"
    backend: Literal["cpu", "tgi", "vllm"] = "cpu"
    base_model: str = "tiny"
    served_as: str = ""
    chat: bool = False
    every_address: bool = False
    prompt_token_price: Price = 0.0
    completion_token_price: Price = 0.0
    api_token: SecretStr = SecretStr("")
    request_timeout_s: Seconds = 600.0
    replica: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(default_factory=socket.gethostname)
    concurrency: Annotated[int, Field(ge=1)] = GENERATOR.prefetch
    cache_dir: Path = Path("adapters")
    max_adapter_bytes: Annotated[int, Field(ge=1)] = 2 * 1024**3
