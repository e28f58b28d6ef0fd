"""Settings of the registry, read from `ARCHLOOP_REGISTRY_…`."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from archloop.ops.settings import ServiceSettings, config

Seconds = Annotated[float, Field(gt=0)]


class RegistrySettings(ServiceSettings):
    """`port` null serves no HTTP. A token is needed as soon as others than this machine can reach the port."""

    service: ClassVar[str] = "registry"
    model_config = config("registry")

    patience_s: Seconds = 120.0
    training_patience_s: Seconds = 7200.0
    echo_s: Seconds = 10.0
    asks: Annotated[int, Field(ge=1)] = 5
    tick_s: Seconds = 1.0
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    token: SecretStr | None = None
    token_file: Path | None = None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return self.host == "localhost" or ip_address(self.host).is_loopback

    @model_validator(mode="after")
    def _open_port_has_a_token(self) -> Self:
        if self.port is not None and not self.loopback and self.token is None:
            raise ValueError(f"host {self.host} is reachable by others: set a token, or bind to 127.0.0.1")
        return self
