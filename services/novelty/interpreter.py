"""Abstract interpretation of one function: follows tensors through `forward` and notes what is done to them.

It knows no shapes and runs nothing. Both arms of an `if` are taken, one after the other; a loop's body is taken
twice, so that what one turn leaves for the next is seen. Expressions are evaluated children first, from a list;
nothing recurses.
"""

import ast
from collections.abc import Iterable, Mapping, Sequence

from archloop.contracts.values import Family
from services.novelty.layers import Construction, callee_name, constructions
from services.novelty.operations import Operations
from services.novelty.program import Function, parameters, self_name
from services.novelty.trees import children, walk
from services.novelty.values import NONE, NOTHING, Traits, Value, Values, traits_of

_VALUES = 2_000
_SHAPE = frozenset({"shape", "ndim", "dtype", "device", "training"})


class Interpreter:
    """One pass over one function: `found` are the marks of families, `returned` the traits of its result.

    `layers` are those of the attributes of the instance, None for a function without one.
    """

    def __init__(self, layers: Mapping[str, list[Construction]] | None, returns: Mapping[str, Traits]) -> None:
        self._layers = layers
        self._values = Values(_VALUES)
        self._operations = Operations(self._values, returns)
        self._variables: dict[str, Value] = {}
        self._instance = ""
        self.returned: Traits = NONE

    @property
    def found(self) -> set[Family]:
        """Return the marks so far."""
        return self._operations.found

    def run(self, function: Function) -> None:
        """Follow the parameters to the function's end, or to the limit on values."""
        self._variables = {name: self._values.source() for name in parameters(function)}
        if self._layers is not None:
            self._instance = self_name(function)
            self._variables[self._instance] = NOTHING
        stack = list(reversed(function.body))
        while stack and not self._values.exhausted:
            stack.extend(reversed(self._statement(stack.pop())))

    # Statements: each is carried out, and answers with those that come next

    def _statement(self, node: ast.stmt) -> Sequence[ast.stmt]:
        match node:
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, self._evaluate(value))
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign([target], self._evaluate(value))
            case ast.AugAssign():
                self._augment(node)
            case ast.Expr(value=value):
                self._evaluate(value)
            case ast.Return(value=ast.expr() as value):
                self.returned |= traits_of([self._evaluate(value)])
            case (
                ast.For(target=target, iter=iterated, body=body) | ast.AsyncFor(target=target, iter=iterated, body=body)
            ):
                self._assign([target], self._values.derived([self._evaluate(iterated)]))
                return [*body, *body]
            case ast.While(body=body):
                return [*body, *body]
            case ast.If() | ast.With() | ast.Try():
                return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        return []

    def _assign(self, targets: Iterable[ast.expr], value: Value) -> None:
        for target in targets:
            match target:
                case ast.Name(id=name):
                    self._variables[name] = value
                case ast.Tuple(elts=elts) | ast.List(elts=elts):
                    whole = value.items if value.items is not None and len(value.items) == len(elts) else None
                    for position, part in enumerate(elts):
                        if isinstance(part, ast.Name):
                            self._variables[part.id] = whole[position] if whole else self._operations.through([value])

    def _augment(self, node: ast.AugAssign) -> None:
        name = node.target.id if isinstance(node.target, ast.Name) else ""
        old, new = self._variables.get(name, NOTHING), self._evaluate(node.value)
        self._variables[name] = self._binary(node.op, old, new)

    # Expressions

    def _evaluate(self, expression: ast.expr) -> Value:
        known: dict[int, Value] = {}
        for node in reversed(walk(expression)):
            known[id(node)] = self._leaf(node) or self._compound(node, known)
        return known[id(expression)]

    def _leaf(self, node: ast.AST) -> Value | None:
        match node:
            case ast.Name(id=name):
                return self._variables.get(name, NOTHING)
            case ast.Attribute(attr=attr) if attr in _SHAPE:
                return NOTHING
            case ast.Compare() | ast.Constant() | ast.Slice():
                return NOTHING
        return None

    def _compound(self, node: ast.AST, known: Mapping[int, Value]) -> Value:
        match node:
            case ast.Call():
                value = self._call(node, known)
            case ast.BinOp(left=left, op=op, right=right):
                value = self._binary(op, known[id(left)], known[id(right)])
            case ast.List(elts=elts) | ast.Tuple(elts=elts):
                value = Value(items=[known[id(e)] for e in elts])
            case ast.ListComp(elt=elt) | ast.GeneratorExp(elt=elt):
                value = Value(items=[self._operations.through([known[id(elt)]]) for _ in range(2)])
            case ast.Subscript(value=base, slice=index):
                value = self._item(known[id(base)], index)
            case ast.Attribute(value=base):
                value = known[id(base)]
            case ast.NamedExpr(target=ast.Name(id=name), value=inner):
                value = self._variables[name] = known[id(inner)]
            case _:
                value = self._operations.through([known[id(child)] for child in children(node)])
        return value

    def _binary(self, op: ast.operator, left: Value, right: Value) -> Value:
        match op:
            case ast.Add():
                return self._operations.added(left, right)
            case ast.Mult():
                return self._operations.multiplied(left, right)
            case ast.MatMult():
                return self._operations.matmul([left, right])
        return self._operations.through([left, right])

    def _item(self, base: Value, index: ast.expr) -> Value:
        if base.items is None:
            return self._operations.through([base])
        if isinstance(index, ast.Constant) and isinstance(index.value, int) and abs(index.value) < len(base.items):
            return base.items[index.value]
        return base if isinstance(index, ast.Slice) else self._values.derived(base.items, traits_of(base.items))

    def _call(self, call: ast.Call, known: Mapping[int, Value]) -> Value:
        arguments = [known[id(a)] for a in (*call.args, *(k.value for k in call.keywords))]
        receiver = known[id(call.func.value)] if isinstance(call.func, ast.Attribute) else NOTHING
        if receiver.items is not None:
            return self._list_method(callee_name(call), receiver, arguments)
        operands = [receiver, *arguments] if receiver.is_tensor else arguments
        return self._apply(self._applied(call), operands)

    def _apply(self, layers: Iterable[Construction], operands: Sequence[Value]) -> Value:
        """Apply layers one after the other, the first to the operands."""
        for name, call in layers:
            operands = [self._operations.apply(name, call, operands)]
        return operands[0] if operands else NOTHING

    def _applied(self, call: ast.Call) -> list[Construction]:
        """Resolve a call to the layers of an attribute, those of a module constructed in place, or a function."""
        match call.func:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if self._layers and name == self._instance:
                return self._layers.get(attr) or [(attr, call)]
            case ast.Call(func=ast.Name() | ast.Attribute()) as made:
                return constructions(made)
        return [(callee_name(call), call)]

    def _list_method(self, method: str, receiver: Value, arguments: Sequence[Value]) -> Value:
        assert receiver.items is not None
        if method in ("append", "insert"):
            receiver.items.extend(arguments[-1:])
        elif method == "extend":
            receiver.items.extend(item for argument in arguments for item in argument.items or ())
        elif method == "pop" and receiver.items:
            return receiver.items[-1]
        return NOTHING
