"""Which of several blocks is the program, and which others it needs."""

import builtins
import symtable
import warnings
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from archloop.answers.block import Block

_CONTRACT = frozenset({"supported_hyperparameters"})
_KNOWN = frozenset(dir(builtins)) | {"__file__", "__name__", "__class__"}


class _Names(NamedTuple):
    """What a module binds, and what it uses without binding it."""

    bound: frozenset[str]
    free: frozenset[str]


def program(blocks: Sequence[Block]) -> Block | None:
    """Return the last complete block that defines `Net`, after the blocks that it needs; None where none defines it.

    One that has fewer of the contract's methods than another is an excerpt.
    """
    nets = [block for block in blocks if block.defines_net]
    if not nets:
        return None
    best = max(map(_rank, nets))
    chosen = next(block for block in reversed(nets) if _rank(block) == best)
    needed = _needed(chosen, [block for block in blocks if block is not chosen and block.closed])
    return chosen._replace(code="".join([*map(_ended, needed), chosen.code]))


def last(blocks: Sequence[Block]) -> Block | None:
    """Return the last complete block, else the last one."""
    return next((block for block in reversed(blocks) if block.closed), blocks[-1] if blocks else None)


def _rank(block: Block) -> tuple[bool, int]:
    return block.closed, len(block.methods)


def _needed(chosen: Block, others: Sequence[Block]) -> list[Block]:
    """Return the blocks that bind what the chosen one lacks, in their order; of several that bind a name the last.

    A block that uses `Net` is an example of its use, and not needed.
    """
    own = _names(chosen.code)
    if own is None or not (missing := (own.free | _CONTRACT) - own.bound):
        return []
    named = [(block, found) for block in others if (found := _names(block.code)) and "Net" not in found.free]
    bound, taken = own.bound, set[int]()
    while (number := _provider(named, missing, taken)) is not None:
        found = named[number][1]
        taken.add(number)
        bound |= found.bound
        missing = (missing | found.free) - bound
    return [named[number][0] for number in sorted(taken)]


def _provider(named: Sequence[tuple[Block, _Names]], missing: frozenset[str], taken: set[int]) -> int | None:
    usable = (n for n in reversed(range(len(named))) if n not in taken and named[n][1].bound & missing)
    return next(usable, None)


def _names(code: str) -> _Names | None:
    """Read, without running it, what the code binds and uses; None where it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = symtable.symtable(code, "answer", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bound = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    free, scopes = set[str](), deque([module])
    while scopes:
        scope = scopes.popleft()
        scopes.extend(scope.get_children())
        used = (s for s in scope.get_symbols() if s.is_referenced() and (scope is module or s.is_global()))
        free |= {symbol.get_name() for symbol in used}
    return _Names(frozenset(bound), frozenset(free - bound - _KNOWN))


def _ended(block: Block) -> str:
    return block.code if block.code.endswith(("\n", "\r")) else f"{block.code}\n"
