"""Reading expressions as steps."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from services.novelty.constants import constant, folded
from services.novelty.frames import Frame
from services.novelty.instructions import Node, Stream
from services.novelty.names import Names, Reading, Value
from services.novelty.program import Function, parameters


class Expressions(Names):
    """Reads constants, displays, operators, comprehensions and lambdas, on top of names."""

    # Constants and displays

    def _constant(self, node: ast.Constant) -> Value:
        written = constant(node.value)
        return self.pure(*written) if type(written) is list else written  # type: ignore[return-value]

    def _list(self, node: ast.List) -> Value:
        return self.display("[", [self.value(element) for element in node.elts], "]")

    def _tuple(self, node: ast.Tuple | ast.List) -> Value:
        return self.display("(", [self.value(element) for element in node.elts], ")")

    def iterated(self, node: ast.expr) -> Value:
        """Read what a loop goes through: nothing else sees whether it is spelt out as a list or as a tuple."""
        return self._tuple(node) if isinstance(node, ast.List) else self.value(node)

    def _set(self, node: ast.Set) -> Value:
        return self.display("{", [self.value(element) for element in node.elts], "}")

    def _dict(self, node: ast.Dict) -> Value:
        keys = [None if key is None else self.value(key) for key in node.keys]
        values = [self.held(self.value(value)) for value in node.values]
        parts = [
            part for key, value in zip(keys, values, strict=True) for part in ("**" if key is None else key, value)
        ]
        made = self.pure("{", *parts, "}")
        if all(key is not None and type(key) is not Node for key in keys):
            made.layer = ("dict", dict(zip(keys, values, strict=True)))
        return made

    # Operators

    def _binop(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        result = folded(node.op, left, right)
        return self.stable(type(node.op).__name__, "(", left, right, ")") if result is None else result

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        operand = self.value(node.operand)
        if type(node.op) is ast.USub and type(operand) is int:
            return -operand
        if type(node.op) is ast.USub and type(operand) is str and operand[:1].isdigit():
            return f"-{operand}"
        return self.stable(type(node.op).__name__, "(", operand, ")")

    def _subscript(self, node: ast.Subscript) -> Value:
        base, index = self.value(node.value), self.value(node.slice)
        if type(base) is str and base[:2] in ("%P", "%I") and type(index) is not Node and not self.facts.indexed:
            return f"{base}[{index}]"
        if type(base) is Node and base.layer is not None and not self.facts.indexed:
            element = self._element(*base.layer, index)
            if element is not None:
                return element
        is_size = type(base) is Node and base.parts[0] == "shape"
        return (self.fixed if is_size else self.step)(base, "[", index, "]")

    @staticmethod
    def _element(kind: str, made: Any, index: Value) -> Value | None:
        """Return an element of a list or dictionary that is spelt out; None if it is not known."""
        if kind == "display" and type(index) is int and -len(made) <= index < len(made):
            return made[index]  # type: ignore[no-any-return]
        return made.get(index) if kind == "dict" and type(index) is not Node else None

    def _slice(self, node: ast.Slice) -> Value:
        return self.step(":", *(self.value(part) if part else "_" for part in (node.lower, node.upper, node.step)))

    def _starred(self, node: ast.Starred) -> Value:
        return self.step("*", self.value(node.value))

    def _keyword(self, node: ast.keyword) -> Value:
        return self.step(f"{node.arg}=" if node.arg else "**", self.value(node.value))

    def _namedexpr(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        frame, self.frame = self.frame, self.frame.function
        self.bind(node.target, value)
        self.frame = frame
        return value

    # Scopes of their own

    @contextmanager
    def region(self, *head: Value, is_function: bool = False) -> Iterator[list[Node]]:
        """Read a body with variables of its own; the yielded list holds its step afterwards."""
        made: list[Node] = []
        stream, frame = self.stream, self.frame
        within = None if is_function else frame.function
        inner = Frame(
            outer=frame, fields=frame.fields, depth=1, portable=frame.portable, fresh=frame.fresh, within=within
        )
        self.stream, self.frame = Stream(self._spelt), inner
        yield made
        self.stream.flush(portable=True)
        inside = self.stream
        self.stream, self.frame = stream, frame
        node = self._node([*head, "{", *inside.tokens, "}"])
        node.portable = node.portable and inside.is_portable
        self.stream.add(node)
        if self.facts.walrus:
            self.stream.flush()
            self.put(node)
        made.append(node)

    def _comprehension_of(self, kind: str, generators: Sequence[ast.comprehension], *results: ast.expr) -> Value:
        first = self.iterated(generators[0].iter)
        with self.region(kind, "(", first, ")") as made:
            for place, generator in enumerate(generators):
                if place:
                    self.stream.mark("for", self.put(self.iterated(generator.iter)))
                self.bind(generator.target, self.put(self.stable("item")))
                for condition in generator.ifs:
                    self.stream.mark("if", self.put(self.value(condition)))
            for result in results:
                self.stream.mark("yield", self.put(self.value(result)))
        return made[0]

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Value:
        return self._comprehension_of(type(node).__name__, node.generators, node.elt)

    def _dictcomp(self, node: ast.DictComp) -> Value:
        return self._comprehension_of("DictComp", node.generators, node.key, node.value)

    def _lambda(self, node: ast.Lambda) -> Value:
        with self.region("lambda", *self.signature(node), is_function=True) as made:
            self.parameters_of(node)
            self.stream.mark("return", self.put(self.value(node.body)))
        return made[0]

    def signature(self, node: Function | ast.Lambda) -> Sequence[Value]:
        """Write how many parameters of each kind there are, and their defaults."""
        spec = node.args
        kinds: list[Value] = ["(", str(len(spec.posonlyargs) + len(spec.args))]
        kinds += [part for default in spec.defaults for part in ("=", self.value(default))]
        kinds += ["*"] if spec.vararg else []
        kinds += [p for d in spec.kw_defaults for p in ("/", self.value(d) if d else "_")]
        kinds += ["**"] if spec.kwarg else []
        named = [n for n in parameters(node) if (self.facts.open and n != "self") or n in self.facts.keywords]
        return [*kinds, *named, ")"]

    def parameters_of(self, node: Function | ast.Lambda, prefix: str = "%P") -> None:
        """Bind each parameter to a token for its position and for how deep its function is nested."""
        depth, outer = 0, self.frame.outer
        while outer is not None:
            depth, outer = depth + 1, outer.outer
        within = f"{prefix}{depth}." if depth else prefix
        self.frame.values |= {name: f"{within}{place}" for place, name in enumerate(parameters(node))}

    READINGS: ClassVar[Mapping[type[ast.AST], Reading]] = {
        **Names.READINGS,
        ast.Constant: _constant,
        ast.List: _list,
        ast.Tuple: _tuple,
        ast.Set: _set,
        ast.Dict: _dict,
        ast.BinOp: _binop,
        ast.UnaryOp: _unaryop,
        ast.Subscript: _subscript,
        ast.Slice: _slice,
        ast.Starred: _starred,
        ast.keyword: _keyword,
        ast.NamedExpr: _namedexpr,
        ast.ListComp: _listcomp,
        ast.SetComp: _listcomp,
        ast.GeneratorExp: _listcomp,
        ast.DictComp: _dictcomp,
        ast.Lambda: _lambda,
    }
