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
    """Parse and compile the source. Too deep nesting, and a crash of the parser, are the candidate's mistake.

    The source is text, not bytes with a coding cookie that Python would obey: what runs is to be what everybody else
    reads.
    """
    try:
        tree = ast.parse(source, FILENAME)
        return tree, compile(tree, FILENAME, "exec", dont_inherit=True)
    except (RecursionError, MemoryError) as error:
        raise Flaw("syntax_error", f"nested too deeply: {type(error).__name__}") from error


def prepare(source: str, seed: int) -> None:
    """Settle what a module may ask of its environment: its own source, randomness, a compiler.

    There is no compiler in the sandbox: what `torch.compile` is given runs as it is.
    """
    linecache.cache[FILENAME] = (len(source), None, lines(source), FILENAME)
    entropy.settle(seed)
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # noqa: TID251 - for whoever calls the compiler by other names
    torch.compile = _uncompiled
    nn.Module.compile = _no_compiling  # type: ignore[method-assign,assignment]


def lines(source: str) -> list[str]:
    """Split into lines as Python counts them: a form feed or a line separator ends none."""
    return list(io.StringIO(source, newline=None))


def executed(code: CodeType, seed: int) -> dict[str, Any]:
    """Return the namespace of a newly executed module.

    Dataclasses and inspect find the module by its name, as they find an imported one.
    """
    module = module_from_spec(ModuleSpec(_NAME, None, origin=FILENAME))
    module.__file__ = FILENAME
    sys.modules[_NAME] = module
    entropy.seed(seed)
    exec(code, module.__dict__)  # noqa: S102 - this is what the sandbox is for
    return module.__dict__


class _Nowhere(io.TextIOBase):
    """Text stream that discards what is written."""

    def write(self, text: str) -> int:
        """Discard the text and return its length."""
        return len(text)


@contextmanager
def aside() -> Iterator[None]:
    """Let a module be executed to try something, without output, and restore the module of that name afterwards."""
    kept = sys.modules[_NAME]
    try:
        with redirect_stdout(_Nowhere()), redirect_stderr(_Nowhere()):
            yield
    finally:
        sys.modules[_NAME] = kept


def _uncompiled(model: Any = None, **_options: Any) -> Any:
    """Stand in for `torch.compile`, also as a decorator with options."""
    return _uncompiled if model is None else model


def _no_compiling(_module: nn.Module, *_args: Any, **_options: Any) -> None:
    """Stand in for `nn.Module.compile`, which works in place."""
