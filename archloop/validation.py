"""Loose values made into validated models; what is wrong with them is one line that names the field."""

import re
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archloop.errors import InvalidInput

M = TypeVar("M", bound=BaseModel)
_PHRASES = re.compile(r"^(?:Value error, |[A-Z][a-z]+ should (?:be |have )?)")


_PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}
"""What is no text although it has no quotes: YAML 1.2's, without octal and hexadecimal numbers."""


class _Loader(yaml.SafeLoader):
    """YAML without the surprises of its version 1.1, which PyYAML reads.

    There `1:30` is 90, `010` is 8, `1_0` is 10, `no` is false and `2024-01-01` is a date; here they are text, and the
    field that they are given to says whether that will do. A field that is given twice is refused: YAML calls it an
    error, and PyYAML takes the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a dictionary of a mapping's nodes."""
        known = set[tuple[str, Any]]()
        for key, _ in node.value:
            if (name := (key.tag, str(key.value))) in known:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            known.add(name)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})\\Z"), list(_first))


def parsed(text: str, source: str) -> Any:
    """Parse YAML. Raises InvalidInput, also for numbers, dates and depth that are beyond Python."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidInput(source, _excerpt(text, error), f"YAML; {error.problem or error.context}{place}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(source, text, f"YAML that can be read; {' '.join(str(error).split())}") from error


def checked(model: type[M], content: object, source: str) -> M:
    """Make a model of the values. Raises InvalidInput that names the source, the first wrong field and its value."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{source}: {field}" if field else source, _value(first), expected(first)) from None


def expected(error: ErrorDetails) -> str:
    """Return what pydantic says would be right, as the end of a sentence."""
    match error["type"]:
        case "missing":
            return "a value, which is missing"
        case "extra_forbidden":
            return "no field of this name"
        case "model_type" | "dict_type":
            return "a mapping of fields"
        case "string_pattern_mismatch":
            return f"text of the form {error['ctx']['pattern']}"
    return _PHRASES.sub("", error["msg"])


def _value(error: ErrorDetails) -> object:
    """Return the value given; where several fields do not go together, those that the message speaks of."""
    given = error["input"]
    if error["type"] == "missing":
        return None
    if error["type"] == "value_error" and isinstance(given, dict):
        return {name: value for name, value in given.items() if re.search(rf"\b{name}\b", error["msg"])} or given
    return given


def _excerpt(text: str, error: yaml.MarkedYAMLError) -> str:
    lines = text.splitlines()
    return lines[error.problem_mark.line] if error.problem_mark and error.problem_mark.line < len(lines) else text
