"""A form made of the JSON schema of a run's spec, and the spec that its answer makes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from archloop import presets, protocols, templates
from archloop.contracts.spec import RunSpec

Kind = Literal["number", "checkbox", "select", "text"]
_GIVEN = "given"
_FIRST = "run"


class Field(NamedTuple):
    """One input. `name` is the field's place in the spec; one that is optional may be left empty."""

    name: str
    label: str
    kind: Kind
    value: str
    choices: Sequence[str | int] = ()
    optional: bool = False


class Group(NamedTuple):
    """The inputs of one part of the spec; a part that is optional is left out unless it is `given`."""

    name: str
    label: str
    help: str
    fields: Sequence[Field]
    optional: bool = False
    given: bool = True


def groups(values: Mapping[str, Any], base_models: Collection[str] = ()) -> list[Group]:
    """Make the form, filled in with these values of a spec."""
    schema = RunSpec.model_json_schema()
    choices = _choices(base_models)
    first = [field for name, value in schema["properties"].items() if (field := _field(name, value, values, choices))]
    nested = [
        Group(name, _label(name), part["description"], list(_fields(name, part, values, choices)), optional, given)
        for name, part, optional in _parts(schema)
        if (given := values.get(name) is not None) or optional
    ]
    return [Group(_FIRST, "Run", "", first), *(group for group in nested if group.fields)]


def given(form: Mapping[str, str], base: Mapping[str, Any]) -> dict[str, Any]:
    """Make the values of a spec of what was sent; what the form has no input for stays as in `base`."""
    made: dict[str, Any] = dict(base)
    for group in groups(base):
        if group.optional and f"{group.name}.{_GIVEN}" not in form:
            made[group.name] = None
            continue
        part = {field.name.rpartition(".")[2]: _sent(field, form) for field in group.fields}
        made |= part if group.name == _FIRST else {group.name: {**(made.get(group.name) or {}), **part}}
    return made


def _sent(field: Field, form: Mapping[str, str]) -> Any:
    if field.kind == "checkbox":
        return field.name in form
    value = form.get(field.name, "").strip()
    if field.optional and not value:
        return None
    return next((choice for choice in field.choices if str(choice) == value), value)


def _choices(base_models: Collection[str]) -> dict[str, Sequence[str]]:
    known: dict[str, Sequence[str]] = {
        "preset": presets.names(),
        "protocol": protocols.names(),
        "generation.template": templates.names(),
    }
    return known | ({"base_model": list(base_models)} if base_models else {})


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield the name, schema and optionality of each part of the spec that has fields of its own."""
    for name, value in schema["properties"].items():
        kinds = value.get("anyOf", [value])
        reference = next((kind["$ref"] for kind in kinds if "$ref" in kind), None)
        if reference is not None:
            yield name, schema["$defs"][reference.rpartition("/")[2]], {"type": "null"} in kinds


def _fields(
    part: str, schema: Mapping[str, Any], values: Mapping[str, Any], choices: Mapping[str, Sequence[str]]
) -> Iterator[Field]:
    """Yield a part's inputs; none at all where it is made of references, which nobody types."""
    known = values.get(part) or {}
    if any("$ref" in kind for value in schema["properties"].values() for kind in value.get("anyOf", [value])):
        return
    for name, value in schema["properties"].items():
        if field := _field(f"{part}.{name}", value, known, choices):
            yield field


def _field(
    name: str, schema: Mapping[str, Any], values: Mapping[str, Any], choices: Mapping[str, Sequence[str]]
) -> Field | None:
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind != {"type": "null"}]
    (kind, *others), optional = kinds, len(kinds) < len(schema.get("anyOf", [schema]))
    key = name.rpartition(".")[2]
    value = values.get(key, schema.get("default"))
    known = choices.get(name) or kind.get("enum") or ([kind["const"]] if "const" in kind else None)
    form: Kind | None = "select" if known else _KINDS.get(kind.get("type", ""))
    if form is None or others:
        return None
    return Field(name, _label(key), form, _text(value), known or (), optional)


_KINDS: Mapping[str, Kind] = {"integer": "number", "number": "number", "boolean": "checkbox", "string": "text"}


def _label(name: str) -> str:
    return name.replace("_", " ")


def _text(value: object) -> str:
    return "" if value is None or value is False else "on" if value is True else str(value)
