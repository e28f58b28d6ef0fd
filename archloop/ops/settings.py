"""One frozen settings class per service, read from `ARCHLOOP_<SERVICE>_…`.

A secret may come as `…` or, better, as a file named by `…_FILE` (the Docker and Kubernetes way).
"""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from archloop.errors import InvalidInput


class ServiceSettings(BaseSettings):
    """Base: frozen, prefixed, secrets also by file. Subclasses set `service` and `model_config` by `config()`."""

    service: ClassVar[str]
    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_json: bool = True

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment. Raises InvalidInput that names the variable, never a secret's value."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = str(cls.model_config.get("env_prefix", "")) + "_".join(map(str, first["loc"])).upper()
            raise InvalidInput(name, "…", first["msg"]) from None

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        files = {k: v for k, v in values.items() if k.endswith("_file") and v and k[:-5] in cls.model_fields}
        return values | {k[:-5]: Path(v).read_text().strip() for k, v in files.items()}


def config(service: str) -> SettingsConfigDict:
    """The `model_config` of a service's settings."""
    return SettingsConfigDict(frozen=True, extra="ignore", env_prefix=f"ARCHLOOP_{service.upper()}_")
