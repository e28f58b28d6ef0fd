"""What the command needs to reach a deployment, from `ARCHLOOP_CLI_…`."""

from typing import ClassVar

from pydantic import SecretStr

from archloop.ops.settings import ServiceSettings, config


class CliSettings(ServiceSettings):
    """`token` allows to ask a registry for runs; `broker_url` is where parked messages are looked at."""

    service: ClassVar[str] = "cli"
    model_config = config("cli")

    token: SecretStr | None = None
