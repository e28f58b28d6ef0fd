"""What torch's layers and functions call their parameters, as novelty's reader has it in `call_signatures.json`.

    # after a change of torch's version
    python -m tests.unit.novelty.torch_signatures > services/novelty/call_signatures.json

Signatures come from `inspect`, and for what is written in C from the first line of the documentation.
"""

import ast
import builtins
import inspect
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from services.novelty import call_signatures

TARGET = Path(call_signatures.__file__).with_name("call_signatures.json")
Parameter = Sequence[str | int]
RECURRENT = ("RNN", "LSTM", "GRU")
LEFT_OUT = ("out", "generator", "device", "_stacklevel")
OVERLOADED = {"mean", "sum"}
UNTOLD: dict[str, list[Parameter]] = {"pow": [["input"], ["exponent"]]}
"""Of what neither `inspect` nor the first line of the documentation tells the parameters."""

_REDUCTION: list[Parameter] = [["input"], ["dim", "None"], ["keepdim", "False"], ["dtype", "None"]]
_FIRST = ("input", "self", "tensor")


def collected() -> dict[str, Any]:
    """All of the file."""
    layers = {name: list(of) for name, cls in _layers() if (of := _layer(name, cls)) is not None}
    own = {name: list(of) for name, function in _functions(functional) if (of := _function(function)) is not None}
    top = {name: list(of) for name, function in _functions(torch) if (of := _function(function)) is not None}
    differing = sorted(name for name in own.keys() & top.keys() if not _alike(own[name], top[name]))
    merged = {**top, **own, **{name: list(_REDUCTION) for name in OVERLOADED}, **UNTOLD}
    methods = sorted(n for n, of in merged.items() if of[0][0] in _FIRST and _is_method(n))
    return {
        "aliases": dict(_aliases()),
        "attributes": _attributes(),
        "differing": differing,
        "functions": {_called(name): of for name, of in sorted(merged.items())},
        "layers": dict(sorted(layers.items())),
        "members": sorted(n for n in dir(nn.Module) if not n.startswith("__")),
        "methods": [name for name in methods if name not in differing],
    }


def _is_method(name: str) -> bool:
    """Whether torch has it as a function and as a method of tensors, which then are the same."""
    return hasattr(torch, name) and hasattr(torch.Tensor, name)


def _aliases() -> Iterator[tuple[str, str]]:
    """Functions of torch of which the documentation says that they are others of torch's."""
    for name, function in _functions(torch):
        told = re.search(r"Alias (?:for|of) :func:`torch\.(\w+)`", inspect.getdoc(function) or "")
        if told and told[1] != name:
            yield name, told[1]


def _attributes() -> list[str]:
    """What tensors and layers have, whoever else gives an attribute that name."""
    layers = {name for _, cls in _layers() for name in (*dir(cls), *_annotated(cls), *_constants(cls))}
    return sorted(name for name in {*dir(torch.Tensor), *layers} if not name.startswith("__"))


def _annotated(cls: type) -> list[str]:
    return list(getattr(cls, "__annotations__", ()))


def _constants(cls: type) -> list[str]:
    return list(getattr(cls, "__constants__", ()))


def _called(name: str) -> str:
    return f"torch.{name}" if hasattr(builtins, name) else name


def _layers() -> Iterator[tuple[str, type]]:
    for name, value in sorted(vars(nn).items()):
        if inspect.isclass(value) and issubclass(value, nn.Module):
            yield name, value


def _functions(module: Any) -> Iterator[tuple[str, Any]]:
    for name, value in sorted(vars(module).items()):
        if not name.startswith("_") and not name.endswith("_") and callable(value) and not inspect.isclass(value):
            yield name, value


def _layer(name: str, cls: type) -> Iterator[Parameter] | None:
    if name == "Identity" or cls.__init__ is nn.Module.__init__:
        return iter(())
    if name in RECURRENT:
        return (p for p in _parameters(inspect.signature(nn.RNNBase)) if p[0] not in ("mode", *LEFT_OUT))
    signature = inspect.signature(cls)
    return None if _is_open(signature) else _parameters(signature)


def _function(function: Any) -> list[Parameter] | None:
    """None where neither `inspect` nor the documentation tells."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return _documented(inspect.getdoc(function) or "")
    return (
        _documented(inspect.getdoc(function) or "") if _is_open(signature) else list(_parameters(signature))
    ) or None


def _is_open(signature: inspect.Signature) -> bool:
    return any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in signature.parameters.values())


def _parameters(signature: inspect.Signature) -> Iterator[Parameter]:
    for name, parameter in signature.parameters.items():
        if name in LEFT_OUT:
            continue
        yield [name] if parameter.default is parameter.empty else [name, token(parameter.default)]


def _documented(text: str) -> list[Parameter] | None:
    first = re.match(r"(\w+\(.*?\))(?: ->.*)?$", text.partition("\n")[0])
    try:
        arguments = ast.parse(f"def {first[1]}: ..." if first else "").body[0].args  # type: ignore[attr-defined]
    except (SyntaxError, IndexError):
        return None
    if arguments.vararg or arguments.kwarg:
        return None
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
    pairs = zip(positional + arguments.kwonlyargs, defaults, strict=True)
    return [_pair(arg.arg, default) for arg, default in pairs if arg.arg not in LEFT_OUT] or None


def _pair(name: str, default: ast.expr | None) -> Parameter:
    if default is None:
        return [name]
    try:
        return [name, token(ast.literal_eval(default))]
    except ValueError:
        return [name, ast.unparse(default)]


def token(value: object) -> str | int:
    """A default as the reader writes it; a pair of equal numbers is one number."""
    if isinstance(value, tuple) and value and all(part == value[0] for part in value):
        return token(value[0])
    return value if type(value) is int else re.sub(r" at 0x\w+", "", repr(value))


def _alike(left: Sequence[Parameter], right: Sequence[Parameter]) -> bool:
    shorter = min(len(left), len(right))
    return [p[0] for p in left[:shorter]] == [p[0] for p in right[:shorter]] and left[0][0] == right[0][0]


def written() -> str:
    """The text of the file: one line for each layer and function."""
    lines = []
    for section, content in collected().items():
        if section == "aliases":
            lines.append(f" {json.dumps(section)}: {json.dumps(content)}")
        elif isinstance(content, dict):
            body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(of)}" for name, of in content.items())
            lines.append(f" {json.dumps(section)}: {{\n{body}\n }}")
        else:
            lines.append(f" {json.dumps(section)}: {json.dumps(content)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(written())
