"""What options of several commands have in common, and what the environment sets for all."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from pydantic import SecretStr, TypeAdapter, ValidationError

from archloop.contracts.base import RunId
from archloop.errors import InvalidInput
from archloop.ops.settings import ServiceSettings, config

LARGEST_SEED = 2**31 - 1
MOST = 1_000_000
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


class CliSettings(ServiceSettings):
    """`token` allows to ask a registry for runs; `broker_url` is where parked messages are looked at."""

    service: ClassVar[str] = "cli"
    model_config = config("cli")

    token: SecretStr | None = None


def once(command: Any) -> None:
    """Have a command, and those below it, refuse an option that is given twice and values that are empty.

    Click takes the last of several values without a word, and makes the current folder of an empty path.
    """
    for each in getattr(command, "commands", {}).values():
        once(each)
    parse = command.parse_args

    def parsed(context: typer.Context, arguments: list[str]) -> list[str]:
        if context.resilient_parsing:  # a shell wants to complete what is not whole yet
            incomplete: list[str] = parse(context, arguments)
            return incomplete
        values, _, order = command.make_parser(context).parse_args(args=list(arguments))
        for parameter in order:
            is_single = parameter.param_type_name == "option" and not parameter.multiple
            if is_single and order.count(parameter) > 1:
                raise typer.BadParameter("it is given twice", ctx=context, param=parameter)
            if "" in _several(values.get(parameter.name)):
                raise typer.BadParameter("it is empty", ctx=context, param=parameter)
        rest: list[str] = parse(context, arguments)
        return rest

    command.parse_args = parsed


def _several(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]


def without_effect(context: typer.Context, reason: str, *names: str) -> None:
    """Refuse options that are given and would change nothing. Raises InvalidInput."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise InvalidInput(parameter.opts[0], str(context.params[parameter.name]), f"none {reason}")


def check_run(context: typer.Context, *, plan: bool, manifest: Path | None) -> None:
    """Refuse the options of a run that have no effect beside --plan or --from-manifest. Raises InvalidInput."""
    if plan:
        without_effect(context, "with --plan, which starts nothing", "out", "server", "name", "shown", "as_json")
    if manifest:
        without_effect(context, "with --from-manifest, which has its own", "preset")


def finite(value: float | None) -> float | None:
    """Refuse NaN, which a range lets pass since it is neither below nor above anything; None is no value."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter(f"{value} is no number")
    return value


def run_name(value: str | None) -> str | None:
    """Refuse what no run can be called, before a folder is made of it. Raises InvalidInput."""
    try:
        return None if value is None else TypeAdapter(RunId).validate_python(value)
    except ValidationError:
        expected = "at most 63 letters, digits, `.`, `_` and `-`, a letter or digit first"
        raise InvalidInput("--name", value, expected) from None
