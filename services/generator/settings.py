"""Settings of the generator service, read from `ARCHLOOP_GENERATOR_…`."""

import socket
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from archloop.contracts.numbers import Bytes, Seconds
from archloop.contracts.topology import GENERATOR
from archloop.ops.settings import S3Settings, WebAddress, config

Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class GeneratorSettings(S3Settings):
    """Settings of the generator: where the model server is, and what this replica may ask of it.

    `backend` is the kind of server: our own `cpu` server, `vllm`, or `tgi`, which takes adapters at its start only and
    is replaced for each. `base_model` is its model as runs name it, `served_as` as the server does, where that differs;
    our own server tells both. `chat` is for a TGI whose model was tuned on turns. With `every_address` there is a
    server behind each address of the URL's host name. Prices are per million tokens.

    `tgi_launcher` starts a TGI for each new adapter, and `server_url` is not used: `process` runs `tgi_command` here,
    with a free port for `{port}` and its output in `tgi_log`; `kubernetes` makes the objects in the file
    `tgi_template`, as the pod that `replica` names. With `tgi_overlap` old and new run side by side until the new one
    is proven; without, nothing is served meanwhile. `tgi_start_s` bounds the start of one, `tgi_drain_s` its last
    requests, `tgi_stop_s` its end.
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
    concurrency: Annotated[int, Field(ge=1, le=65_535)] = GENERATOR.prefetch
    cache_dir: Path = Path("adapters")
    max_adapter_bytes: Bytes = 2 * 1024**3
    tgi_launcher: Literal["none", "process", "kubernetes"] = "none"
    tgi_command: str = ""
    tgi_log: Path | None = None
    tgi_template: Path | None = None
    tgi_overlap: bool = True
    tgi_start_s: Seconds = 900.0
    tgi_drain_s: Seconds = 120.0
    tgi_stop_s: Seconds = 100.0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.tgi_launcher != "none" and (self.backend != "tgi" or self.every_address):
            raise ValueError("a launcher is for backend tgi, without every_address")
        if self.tgi_launcher == "process" and "{port}" not in self.tgi_command:
            raise ValueError("launcher process needs a tgi_command with {port} in it")
        if self.tgi_launcher == "kubernetes" and self.tgi_template is None:
            raise ValueError("launcher kubernetes needs a tgi_template")
        return self
