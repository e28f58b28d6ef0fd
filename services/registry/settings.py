"""Settings of the registry, from `ARCHLOOP_REGISTRY_…`."""

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from typing_extensions import override

from archloop.addresses import is_loopback
from archloop.contracts.numbers import Bytes, Seconds
from archloop.ops.doors import MIB, Doors, names
from archloop.ops.settings import S3Settings, config


class RegistrySettings(S3Settings):
    """The run controller's patience, the tokens of the API, and the database.

    After `patience_s` of a run's silence, beyond the longest evaluation of its protocol, a missing answer is asked for
    again, at most `asks` times; a training after `training_patience_s`. A request of our own that does not come back
    within `echo_s` is published again. With every request the patience doubles, up to four times. The controller looks
    every `tick_s`. At most `window` candidates of a run are under way.

    Of several registries on one database one leads; another takes over when it was not heard of for `lease_s`.

    Others than this machine may write with `token` only. Where a token is set, code and data are for whoever has
    `read_token` or `token`. `hosts` are more names that the port answers to, with commas between; one that begins
    with a dot stands for all beneath. A body may have `body_bytes`; what is not answered within `request_s` is given
    up; `followers` clients may follow the events at a time.

    `make_bucket` allows to make the bucket. `base_models` are those that runs may ask for, with commas between:
    what the generators' model servers serve and the trainers have. Without it any may be asked for, and a run that
    names one that is not served fails once it was asked for in vain.
    """

    service: ClassVar[str] = "registry"
    own_port: ClassVar[int] = 8000
    model_config = config("registry")

    patience_s: Seconds = 120.0
    training_patience_s: Seconds = 7200.0
    echo_s: Seconds = 10.0
    asks: Annotated[int, Field(ge=1, le=10_000)] = 5
    tick_s: Seconds = 1.0
    window: Annotated[int, Field(ge=1, le=100_000)] = 256
    lease_s: Seconds = 10.0
    token: SecretStr | None = Field(default=None, validate_default=True)
    read_token: SecretStr | None = None
    mongo_url: SecretStr | None = None
    mongo_database: str = "archloop"
    make_bucket: bool = False
    hosts: Annotated[str, Field(max_length=10_000)] = ""
    body_bytes: Bytes = 64 * MIB
    request_s: Seconds = 60.0
    followers: Annotated[int, Field(ge=1, le=10_000)] = 500
    base_models: Annotated[str, Field(max_length=10_000)] = ""

    @override
    def doors(self) -> Doors:
        return Doors(self.host, names(self.hosts), self.body_bytes)

    def served(self) -> list[str]:
        """Return the names of the base models that runs may ask for."""
        return [name for each in self.base_models.split(",") if (name := each.strip())]

    @field_validator("token")
    @classmethod
    def _open_port_has_a_token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        host = info.data.get("host")
        if host is not None and not is_loopback(host) and token is None:
            raise ValueError(f"host {host} is reachable by others: set a token, or bind to 127.0.0.1")
        return token
