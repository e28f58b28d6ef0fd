"""The effect of each operation on the traits of its operands, and the family's mark that it leaves."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import ClassVar

from archloop.contracts.values import Family
from services.novelty.layers import callee_name, pools_to_one
from services.novelty.values import KIND, NONE, NOTHING, Trait, Traits, Value, Values, traits_of

_GATE = frozenset({Trait.GATE})


@dataclass
class Operations:
    """`returns` holds the traits of what the program's own functions and modules return; `found` collects marks."""

    values: Values
    returns: Mapping[str, Traits]
    found: set[Family] = field(default_factory=set)

    def apply(self, name: str, call: ast.Call, operands: Sequence[Value]) -> Value:
        """Apply one layer or function, given by the last part of its name."""
        if name in self.returns:
            own = self.returns[name]
            return self.values.derived(operands, (traits_of(operands) - _GATE) | own)
        rule = self._RULES.get(KIND.get(name.lower(), ""), Operations._other)
        return rule(self, call, operands)

    def added(self, left: Value, right: Value) -> Value:
        """Add two values; the mark is `residual` if both are paths from one value. Lists are joined."""
        if left.items is not None and right.items is not None:
            return Value(items=[*left.items, *right.items])
        if left is not right and left.ancestry & right.ancestry:
            self.found.add(Family.RESIDUAL)
        return self.values.derived((left, right), traits_of((left, right)) - _GATE)

    def multiplied(self, left: Value, right: Value) -> Value:
        """Multiply two values; a gate times features is `squeeze_excite` if pooled, `gated` if convolved."""
        for gate, features in ((left, right), (right, left)):
            if _is_squeezed(gate) and features.is_tensor and Trait.POOLED not in features.traits:
                self.found.add(Family.SQUEEZE_EXCITE)
                return self.values.derived((left, right), features.traits)
        both = traits_of((left, right))
        if Trait.POOLED not in both and (_is_gate_of(left, right) or _is_gate_of(right, left)):
            self.found.add(Family.GATED)
        return self.values.derived((left, right), both - _GATE)

    def matmul(self, operands: Sequence[Value]) -> Value:
        """Multiply matrices."""
        return self.values.derived(operands, traits_of(operands) | {Trait.MATMUL})

    def through(self, operands: Sequence[Value]) -> Value:
        """Change only the form of the numbers: all traits stay."""
        gated = operands[0].gated if operands else 0
        return self.values.derived(operands, traits_of(operands), gated)

    def _matmul(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        return self.matmul(operands)

    def _reshape(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        return self.through(operands)

    def _scalar(self, _call: ast.Call, _operands: Sequence[Value]) -> Value:
        return NOTHING

    def _other(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        return self.values.derived(operands, traits_of(operands) - _GATE)

    def _conv(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        kept = traits_of(operands) - {Trait.GATE, Trait.MATMUL}
        return self.values.derived(operands, kept | {Trait.CONV})

    def _linear(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        return self.values.derived(operands, traits_of(operands) - {Trait.GATE, Trait.MATMUL})

    def _pool(self, call: ast.Call, operands: Sequence[Value]) -> Value:
        added = frozenset({Trait.POOLED}) if pools_to_one(call) else NONE
        return self.values.derived(operands, (traits_of(operands) - _GATE) | added)

    def _gate(self, call: ast.Call, operands: Sequence[Value]) -> Value:
        """Apply a sigmoid or tanh; a tanh gates convolutions only, since squeeze-and-excite uses a sigmoid."""
        traits = traits_of(operands)
        if "tanh" in callee_name(call).lower() and Trait.POOLED in traits:
            return self.values.derived(operands, traits - _GATE)
        return self.values.derived(operands, traits | _GATE, operands[0].bit if operands else 0)

    def _softmax(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        if Trait.MATMUL in traits_of(operands):
            self.found.add(Family.ATTENTION)
        return self.values.derived(operands, traits_of(operands) - _GATE)

    def _cat(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        """Concatenate; `dense` if one part was computed from another, `inception` if they are parallel branches."""
        parts = [item for item in (operands[0].items or ()) if item.is_tensor] if operands else []
        bits = reduce(or_, (part.bit for part in parts), 0)
        if any(part.ancestry & (bits ^ part.bit) for part in parts):
            self.found.add(Family.DENSE)
        elif bits.bit_count() > 1:
            self.found.add(Family.INCEPTION)
        return self.values.derived(operands[:1], traits_of(parts) - _GATE)

    def _add(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        return self.added(operands[0], operands[1]) if len(operands) > 1 else self.through(operands)

    def _multiply(self, _: ast.Call, operands: Sequence[Value]) -> Value:
        return self.multiplied(operands[0], operands[1]) if len(operands) > 1 else self.through(operands)

    _RULES: ClassVar[Mapping[str, Callable[["Operations", ast.Call, Sequence[Value]], Value]]] = {
        "conv": _conv,
        "linear": _linear,
        "pool": _pool,
        "gate": _gate,
        "softmax": _softmax,
        "matmul": _matmul,
        "cat": _cat,
        "add": _add,
        "multiply": _multiply,
        "scalar": _scalar,
        "reshape": _reshape,
    }


def _is_squeezed(gate: Value) -> bool:
    return {Trait.GATE, Trait.POOLED} <= gate.traits


def _is_gate_of(gate: Value, features: Value) -> bool:
    return {Trait.GATE, Trait.CONV} <= gate.traits and features.is_tensor and not gate.is_swish_of(features)
