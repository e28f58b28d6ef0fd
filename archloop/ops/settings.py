"""One frozen settings class per service, read from `ARCHLOOP_<SERVICE>_…`.

Any value, a secret above all, may come as a file named by `…_FILE` instead (the Docker and Kubernetes way).
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from archloop.contracts.numbers import Seconds
from archloop.errors import Misconfigured
from archloop.ops.doors import Doors

WebAddress = Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$")]


def _address(host: str) -> str:
    """Return the host. Raises ValueError where nothing can listen on it."""
    if host != "localhost":
        ip_address(host)
    return host


class _Files(EnvSettingsSource):
    """Takes a field's value from the file that `…_FILE` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        path, _, _ = super().get_field_value(field, f"{field_name}_file")
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text("utf-8-sig").strip(), field_name, self.field_is_complex(field)
        except (OSError, UnicodeDecodeError) as error:
            setting = f"{self.env_prefix}{field_name}_file".upper()
            reason = error.strerror if isinstance(error, OSError) else "no UTF-8"
            raise Misconfigured(setting, f"cannot read {path}: {reason}") from error


class ServiceSettings(BaseSettings):
    """How a service logs, where it listens, and where its broker is.

    Within one process with the other services there is neither a port nor a broker, so both may be null.
    `start_patience_s` bounds the wait for servers that are not up yet when this one starts. `traces_endpoint` is the
    base URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; without it nothing is traced.
    """

    # To be set by subclasses, with `model_config`.
    service: ClassVar[str]
    own_port: ClassVar[int]
    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_json: bool = True
    host: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    broker_url: SecretStr | None = None
    start_patience_s: Seconds = 60.0
    traces_endpoint: WebAddress | None = None

    def doors(self) -> Doors:
        """Return what the port asks of a request."""
        return Doors(self.host)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment. Raises Misconfigured that names the variable, never a secret's value."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise _misconfigured(cls, error) from None
        except SettingsError as error:
            # The library wraps what a source raises.
            raise error.__cause__ or error from None

    @classmethod
    def variable(cls, *field: str) -> str:
        """Return the name of a field's environment variable."""
        return (str(cls.model_config.get("env_prefix", "")) + "_".join(field)).upper()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: Any, **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the files that it names."""
        return sources["init_settings"], sources["env_settings"], _Files(settings_cls)


class S3Settings(ServiceSettings):
    """For services that reach the object store themselves. Null within one process, where a directory is used."""

    s3_endpoint: str | None = None
    s3_bucket: str = "archloop"
    s3_region: str | None = None
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None


def config(service: str) -> SettingsConfigDict:
    """Return the `model_config` of a service's settings."""
    prefix = f"ARCHLOOP_{service.upper()}_"
    return SettingsConfigDict(frozen=True, extra="ignore", env_prefix=prefix, env_ignore_empty=True)


def _misconfigured(settings: type[ServiceSettings], error: ValidationError) -> Misconfigured:
    first = error.errors(include_url=False)[0]
    field = tuple(map(str, first["loc"]))
    value = settings.model_fields.get(".".join(field))
    secret = value is None or "Secret" in str(value.annotation)
    given = "" if secret else f" (got {first['input']!r})"
    problem = first["msg"].removeprefix("Value error, ")
    return Misconfigured(settings.variable(*(field or ("…",))), f"{problem}{given}")
