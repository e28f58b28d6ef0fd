"""Facts about operators that torch's schemas tell."""

from functools import cache
from typing import Any, NamedTuple

import torch

_DRAWN = torch.Tag.nondeterministic_seeded


class Operator(NamedTuple):
    """Facts about one operator; `name` is that of the variant that writes to no argument.

    `written` names the arguments that it writes to. `views`: it returns another view of an argument. `drawn`: it draws
    random numbers.
    """

    name: str
    arguments: tuple[str, ...]
    written: tuple[str, ...]
    views: bool
    drawn: bool

    @staticmethod
    @cache
    def of(func: Any) -> "Operator":
        """Return the facts about one of torch's overloads."""
        schema, packet = func._schema, func._overloadpacket  # noqa: SLF001 - torch has no public names for them
        written = tuple(a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write)
        name = packet.__name__
        if written and name.endswith("_") and not name.endswith("__"):
            name = name[:-1]
        if func.namespace != "aten":
            name = f"{func.namespace}.{name}"
        views = not written and any(made.alias_info is not None for made in schema.returns)
        return Operator(name, tuple(a.name for a in schema.arguments), written, views, _DRAWN in func.tags)
