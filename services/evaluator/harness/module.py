"""The candidate's source as a Python module: parsed, compiled, executed, each time from the same state."""

import ast
import io
import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from types import CodeType
from typing import Any

import torch
from torch import nn

from services.evaluator.harness import entropy
from services.evaluator.harness.flaw import FILENAME, Flaw

_NAME = "candidate"


def parsed(source: str) -> tuple[ast.Module, CodeType]:
    """Parse and compile. Python's own limits on nesting are the candidate's mistake, so is a crash of the parser.

    A text, not bytes, whose coding cookie Python would obey: what runs is to be what everybody else reads.
    """
    try:
        tree = ast.parse(source, FILENAME)
        return tree, compile(tree, FILENAME, "exec", dont_inherit=True)
    except (RecursionError, MemoryError) as error:
        raise Flaw("syntax_error", f"nested too deeply: {type(error).__name__}") from error


def prepare(source: str, seed: int) -> None:
    """Settle what a module may ask of its surroundings: its own source, randomness, a compiler.

    There is no compiler in the sandbox: what `torch.compile` is given runs as it is.
    """
    linecache.cache[FILENAME] = (len(source), None, lines(source), FILENAME)
    entropy.settle(seed)
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # noqa: TID251 - for whoever calls the compiler by other names
    torch.compile = _uncompiled
    nn.Module.compile = _no_compiling  # type: ignore[method-assign,assignment]


def lines(source: str) -> list[str]:
    """As Python counts them: a form feed or a line separator ends none."""
    return list(io.StringIO(source, newline=None))


def executed(code: CodeType, seed: int) -> dict[str, Any]:
    """The namespace of a new module, which dataclasses and inspect find by its name, as that of an imported one."""
    module = module_from_spec(ModuleSpec(_NAME, None, origin=FILENAME))
    module.__file__ = FILENAME
    sys.modules[_NAME] = module
    entropy.seed(seed)
    exec(code, module.__dict__)  # noqa: S102 - this is what the sandbox is for
    return module.__dict__


class _Nowhere(io.TextIOBase):
    """Takes what is written, and keeps nothing."""

    def write(self, text: str) -> int:
        """Count it."""
        return len(text)


@contextmanager
def aside() -> Iterator[None]:
    """Let a module be executed to try something: it says nothing again, and its name stays that of the one before."""
    kept = sys.modules[_NAME]
    try:
        with redirect_stdout(_Nowhere()), redirect_stderr(_Nowhere()):
            yield
    finally:
        sys.modules[_NAME] = kept


def _uncompiled(model: Any = None, **_options: Any) -> Any:
    """In place of `torch.compile`, also as a decorator with options."""
    return _uncompiled if model is None else model


def _no_compiling(_module: nn.Module, *_args: Any, **_options: Any) -> None:
    """In place of `nn.Module.compile`, which works in place."""
