"""Settings of the registry, from `ARCHLOOP_REGISTRY_…`."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from archloop.addresses import is_loopback
from archloop.contracts.numbers import Seconds
from archloop.ops.settings import S3Settings, config


class RegistrySettings(S3Settings):
    """The run controller's patience, the tokens of the API, and the database.

    After `patience_s` of a run's silence, beyond the longest evaluation of its protocol, a missing answer is asked for
    again, at most `asks` times; a training after `training_patience_s`. A request of our own that does not come back
    within `echo_s` is published again. The controller looks every `tick_s`.

    Others than this machine may write with `token` only. Code and data are for whoever has `read_token`, where one is
    set. `make_bucket` allows to make the bucket.
    """

    service: ClassVar[str] = "registry"
    own_port: ClassVar[int] = 8000
    model_config = config("registry")

    patience_s: Seconds = 120.0
    training_patience_s: Seconds = 7200.0
    echo_s: Seconds = 10.0
    asks: Annotated[int, Field(ge=1, le=10_000)] = 5
    tick_s: Seconds = 1.0
    token: SecretStr | None = Field(default=None, validate_default=True)
    read_token: SecretStr | None = None
    mongo_url: SecretStr | None = None
    mongo_database: str = "archloop"
    make_bucket: bool = False

    @field_validator("token")
    @classmethod
    def _open_port_has_a_token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host")
        if host is not None and not is_loopback(host) and token is None:
            raise ValueError(f"host {host} is reachable by others: set a token, or bind to 127.0.0.1")
        return token
