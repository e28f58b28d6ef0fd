"""Programs that spell a network in another way, and programs that change it. Each takes a tree and random numbers.

What a respelling may not change is torch's own business: parameters and defaults come from torch itself, not from the
reader's table. Every one answers with a new source, or with None where the network gives it nothing to do.
"""

import ast
import copy
import inspect
import random
from collections.abc import Callable, Iterator

from torch import nn

Respelling = Callable[[ast.Module, random.Random], str | None]
METHODS = ("__init__", "forward")


class Renaming(ast.NodeTransformer):
    """Spell every name that the file gives itself differently."""

    def __init__(self, tree: ast.Module, suffix: str) -> None:
        nodes = list(ast.walk(tree))
        methods = {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
        attributes = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
        variables = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        arguments = {n.arg for n in nodes if isinstance(n, ast.arg)}
        classes = {n.name for n in nodes if isinstance(n, ast.ClassDef)}
        self.suffix = suffix
        self.names = (variables | arguments | classes) - {"Net"}
        self.attributes = attributes - methods
        self.keywords = arguments

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._new(node.id, self.names), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        return ast.Attribute(self.visit(node.value), self._new(node.attr, self.attributes), node.ctx)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._new(node.name, self.names)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._new(node.arg, self.names))

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        return ast.keyword(node.arg and self._new(node.arg, self.keywords), self.visit(node.value))

    def _new(self, name: str, renamed: set[str]) -> str:
        return name + self.suffix if name in renamed else name


def renamed(tree: ast.Module, rng: random.Random) -> str:
    return _text(Renaming(tree, f"_{rng.randrange(1000)}").visit(tree))


def _text(tree: ast.AST) -> str:
    return ast.unparse(ast.fix_missing_locations(tree))


def _methods(tree: ast.Module, *names: str) -> list[ast.FunctionDef]:
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return [m for node in classes for m in node.body if isinstance(m, ast.FunctionDef) and m.name in (names or METHODS)]


def _layers(tree: ast.Module) -> Iterator[tuple[ast.Call, type]]:
    """Calls of torch's layers in the parts that count."""
    for method in _methods(tree):
        for node in ast.walk(method):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="nn"), attr=name)) if not any(
                    isinstance(a, ast.Starred) for a in node.args
                ):
                    layer = getattr(nn, name, None)
                    if inspect.isclass(layer) and not issubclass(layer, nn.Sequential | nn.ModuleList | nn.Identity):
                        yield node, layer


def _parameters(layer: type) -> list[inspect.Parameter]:
    if layer.__init__ is nn.Module.__init__:
        return []
    return list(inspect.signature(layer).parameters.values())


# The same network


def with_keywords(tree: ast.Module, rng: random.Random) -> str | None:
    calls = [(call, layer) for call, layer in _layers(tree) if call.args]
    for call, layer in calls:
        kept = rng.randrange(len(call.args))
        names = [p.name for p in _parameters(layer)]
        added = [ast.keyword(name, value) for name, value in zip(names[kept:], call.args[kept:], strict=False)]
        call.args, call.keywords = call.args[:kept], [*call.keywords, *added]
        rng.shuffle(call.keywords)
    return _text(tree) if calls else None


def with_defaults(tree: ast.Module, rng: random.Random) -> str | None:
    added = 0
    for call, layer in _layers(tree):
        left = _parameters(layer)[len(call.args) :]
        given = {keyword.arg for keyword in call.keywords}
        usable = [p for p in left if p.name not in given and isinstance(p.default, bool | int | float | str)]
        for parameter in rng.sample(usable, min(2, len(usable))):
            call.keywords.append(ast.keyword(parameter.name, ast.Constant(parameter.default)))
            added += 1
    return _text(tree) if added else None


def with_tuples(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for call, layer in _layers(tree):
        if "2d" not in layer.__name__ or "Norm" in layer.__name__ or "Dropout" in layer.__name__:
            continue
        names = [p.name for p in _parameters(layer)]
        for place, value in enumerate(call.args):
            if names[place] in ("kernel_size", "stride", "padding", "output_size") and _is_integer(value):
                call.args[place] = ast.Tuple([value, value], ast.Load())
                changed += 1
        for keyword in call.keywords:
            if keyword.arg in ("kernel_size", "stride", "padding", "dilation") and _is_integer(keyword.value):
                keyword.value = ast.Tuple([keyword.value, keyword.value], ast.Load())
                changed += 1
    return _text(tree) if changed else None


def _is_integer(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def with_device(tree: ast.Module, _: random.Random) -> str | None:
    calls = [call for call, layer in _layers(tree) if any(p.name == "device" for p in _parameters(layer))]
    for call in calls:
        call.keywords.append(ast.keyword("device", ast.Constant(None)))
    return _text(tree) if calls else None


def _independent(statement: ast.stmt) -> bool:
    """`self.name = …` that reads neither locals nor attributes."""
    match statement:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"))], value=value):
            names = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
            return "self" not in names and not names & {"layers", "widths", "channels", "width"}
    return False


def with_lines_in_another_order(tree: ast.Module, rng: random.Random) -> str | None:
    changed = 0
    for method in _methods(tree, "__init__"):
        places = [place for place, statement in enumerate(method.body) if _independent(statement)]
        moved = [method.body[place] for place in rng.sample(places, len(places))]
        for place, statement in zip(places, moved, strict=True):
            changed += method.body[place] is not statement
            method.body[place] = statement
    return _text(tree) if changed else None


def _named_constants(tree: ast.Module, rng: random.Random) -> dict[str, ast.Constant]:
    found: dict[str, ast.Constant] = {}
    for call, _ in _layers(tree):
        for place, value in enumerate(call.args):
            if _is_integer(value) and isinstance(value, ast.Constant) and rng.random() < 0.7:
                found[f"SIZE_{value.value}"] = value
                call.args[place] = ast.Name(f"SIZE_{value.value}", ast.Load())
    return found


def with_constants_of_the_module(tree: ast.Module, rng: random.Random) -> str | None:
    found = _named_constants(tree, rng)
    tree.body[2:2] = [ast.Assign([ast.Name(name, ast.Store())], value) for name, value in found.items()]
    return _text(tree) if found else None


def with_constants_of_the_function(tree: ast.Module, rng: random.Random) -> str | None:
    found = _named_constants(tree, rng)
    for method in _methods(tree, "__init__"):
        used = {n.id for n in ast.walk(method) if isinstance(n, ast.Name)} & found.keys()
        method.body[1:1] = [ast.Assign([ast.Name(n, ast.Store())], found[n]) for n in sorted(used)]
    return _text(tree) if found else None


def with_constants_of_the_object(tree: ast.Module, rng: random.Random) -> str | None:
    found = _named_constants(tree, rng)
    for node in [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]:
        for method in (m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"):
            used = {n.id for n in ast.walk(method) if isinstance(n, ast.Name)} & found.keys()
            for name in [n for n in ast.walk(method) if isinstance(n, ast.Name) and n.id in used]:
                name.id = f"self.{node.name.lower()}_{name.id.lower()}"
            added = [f"self.{node.name.lower()}_{n.lower()} = {ast.unparse(found[n])}" for n in sorted(used)]
            method.body[1:1] = ast.parse("\n".join(added)).body
    return _text(tree) if found else None


def with_arithmetic(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for call, _layer in _layers(tree):
        for place, value in enumerate(call.args):
            if isinstance(value, ast.Constant) and type(value.value) is int and value.value % 2 == 0 and value.value:
                call.args[place] = ast.parse(f"{value.value // 2} * 2", mode="eval").body
                changed += 1
    return _text(tree) if changed else None


def with_another_call_of_the_base(tree: ast.Module, rng: random.Random) -> str | None:
    source = _text(tree)
    for node in [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]:
        style = rng.choice([f"super({node.name}, self).__init__()", "nn.Module.__init__(self)"])
        head, _, tail = source.partition(f"class {node.name}(")
        source = f"{head}class {node.name}({tail.replace('super().__init__()', style, 1)}"
    return source


class _Splitting(ast.NodeTransformer):
    def __init__(self) -> None:
        self.before: list[ast.stmt] = []
        self.count = 0

    def visit(self, node: ast.AST) -> ast.AST:
        """What may not be done, or be done later, stays where it is."""
        kept = ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.IfExp | ast.BoolOp
        return node if isinstance(node, kept) else super().visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        self.count += 1
        name = f"step_{self.count}"
        self.before.append(ast.Assign([ast.Name(name, ast.Store())], node))
        return ast.Name(name, ast.Load())


def with_temporaries(tree: ast.Module, _: random.Random) -> str:
    for method in _methods(tree, "forward"):
        body: list[ast.stmt] = []
        for statement in method.body:
            splitting = _Splitting()
            splitting.count = len(body)
            if isinstance(statement, ast.Assign | ast.Return) and statement.value is not None:
                statement.value = splitting.visit(statement.value)
            body += [*splitting.before, statement]
        method.body = body
    return _text(tree)


class _Substitution(ast.NodeTransformer):
    def __init__(self, name: str, value: ast.expr) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.value if node.id == self.name and isinstance(node.ctx, ast.Load) else node


def without_temporaries(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for method in _methods(tree, "forward"):
        place = 0
        while place + 1 < len(method.body):
            first, second = method.body[place : place + 2]
            match first, second:
                case ast.Assign(targets=[ast.Name(id=name)], value=value), ast.Assign(targets=[ast.Name(id=again)]) if (
                    name == again and _uses(second.value, name) == 1
                ):
                    second.value = _Substitution(name, value).visit(second.value)
                case ast.Assign(targets=[ast.Name(id=name)], value=value), ast.Return(value=ast.expr() as returned) if (
                    _uses(returned, name) == 1
                ):
                    second.value = _Substitution(name, value).visit(returned)
                case _:
                    place += 1
                    continue
            del method.body[place]
            changed += 1
    return _text(tree) if changed else None


def _uses(node: ast.AST, name: str) -> int:
    return sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))


def with_a_helper_method(tree: ast.Module, _: random.Random) -> str | None:
    for node in [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Net"]:
        forward = next(m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "forward")
        if len(forward.body) < 2 or not all(isinstance(s, ast.Assign | ast.Return) for s in forward.body):
            return None
        last = forward.body[-1]
        names = {n.id for n in ast.walk(last) if isinstance(n, ast.Name)} - {"self", "torch", "F", "nn"}
        if len(names) != 1:
            return None
        (name,) = names
        helper = ast.parse(f"def finish(self, {name}):\n    pass").body[0]
        assert isinstance(helper, ast.FunctionDef)
        helper.body = [last]
        forward.body[-1] = ast.parse(f"def f():\n    return self.finish({name})").body[0].body[0]  # type: ignore[attr-defined]
        node.body.append(helper)
    return _text(tree)


def with_lists_that_grow(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for method in _methods(tree, "__init__"):
        body: list[ast.stmt] = []
        for statement in method.body:
            match statement:
                case ast.Assign(value=ast.Call(func=ast.Attribute(attr="Sequential"), args=args, keywords=[])) if (
                    args and not any(isinstance(a, ast.Starred) for a in args)
                ):
                    body += ast.parse(f"steps_{changed} = []").body
                    body += [s for a in args for s in ast.parse(f"steps_{changed}.append({ast.unparse(a)})").body]
                    statement.value = ast.parse(f"nn.Sequential(*steps_{changed})", mode="eval").body
                    changed += 1
            body.append(statement)
        method.body = body
    return _text(tree) if changed else None


def with_other_forms_of_functions(tree: ast.Module, rng: random.Random) -> str | None:
    """`F.relu(x)`, `torch.relu(x)`, `x.relu()`, and the same for others."""
    changed = 0
    for method in _methods(tree, "forward"):
        for node in [n for n in ast.walk(method) if isinstance(n, ast.Call)]:
            match node:
                case ast.Call(func=ast.Attribute(value=owner, attr="flatten" | "relu" | "sigmoid" | "tanh" as name)):
                    if isinstance(owner, ast.Name) and owner.id in ("torch", "F"):
                        node.func = ast.Attribute(node.args.pop(0), name, ast.Load())
                    else:
                        module = "torch" if name == "flatten" else rng.choice(["torch", "torch.nn.functional"])
                        node.args.insert(0, owner)
                        node.func = ast.parse(f"{module}.{name}", mode="eval").body
                    changed += 1
    return _text(tree) if changed else None


def with_modules_for_functions(tree: ast.Module, _: random.Random) -> str | None:
    """`self.act(x)` where the layer is kept becomes the function of torch."""
    functions = {"ReLU": "relu", "GELU": "gelu", "SiLU": "silu", "Hardswish": "hardswish", "Sigmoid": "sigmoid"}
    changed = 0
    for node in [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]:
        kept: dict[str, str] = {}
        for method in (m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"):
            for statement in method.body:
                match statement:
                    case ast.Assign(
                        targets=[ast.Attribute(attr=name)], value=ast.Call(func=ast.Attribute(attr=layer), args=[])
                    ) if layer in functions:
                        kept[name] = functions[layer]
            method.body = [s for s in method.body if not _stores(s, kept)]
        for call in [n for n in ast.walk(node) if isinstance(n, ast.Call)]:
            match call:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)) if name in kept:
                    call.func = ast.parse(f"torch.nn.functional.{kept[name]}", mode="eval").body
                    changed += 1
    return _text(tree) if changed else None


def _stores(statement: ast.stmt, names: dict[str, str]) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Attribute(attr=name)]):
            return name in names
    return False


def with_notes(tree: ast.Module, rng: random.Random) -> str:
    for method in _methods(tree):
        for arg in method.args.args[1:]:
            arg.annotation = ast.Name("object", ast.Load())
        noise = ['"""What it does."""', 'print("here")', "assert True", "pass"]
        method.body.insert(1 if method.name == "__init__" else 0, ast.parse(rng.choice(noise)).body[0])
    return "# made by hand\n" + _text(tree)


def with_definitions_in_another_order(tree: ast.Module, rng: random.Random) -> str:
    places = [place for place, node in enumerate(tree.body) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    moved = [tree.body[place] for place in rng.sample(places, len(places))]
    for place, node in zip(places, moved, strict=True):
        tree.body[place] = node
    return _text(tree)


def with_branches_that_are_always_taken(tree: ast.Module, _: random.Random) -> str:
    tree.body = [
        ast.If(ast.Constant(True), [node], []) if isinstance(node, ast.ClassDef) else node for node in tree.body
    ]
    return _text(tree)


def with_another_recipe(tree: ast.Module, _: random.Random) -> str:
    for method in _methods(tree, "train_setup", "learn"):
        method.body = ast.parse("self.rate = 0.25\nwhile self.rate:\n    self.rate -= 0.01").body
    return _text(tree)


def with_other_imports(tree: ast.Module, _: random.Random) -> str:
    return _text(tree).replace("import torch.nn as nn", "from torch import nn").replace("nn.Linear", "torch.nn.Linear")


SAME: tuple[Respelling, ...] = (
    renamed,
    with_keywords,
    with_defaults,
    with_tuples,
    with_device,
    with_lines_in_another_order,
    with_constants_of_the_module,
    with_constants_of_the_function,
    with_constants_of_the_object,
    with_arithmetic,
    with_another_call_of_the_base,
    with_temporaries,
    without_temporaries,
    with_a_helper_method,
    with_lists_that_grow,
    with_other_forms_of_functions,
    with_modules_for_functions,
    with_notes,
    with_definitions_in_another_order,
    with_branches_that_are_always_taken,
    with_another_recipe,
    with_other_imports,
)

# Another network


def _constants(tree: ast.Module, kind: type) -> list[ast.Constant]:
    layers = (node for call, _ in _layers(tree) for node in ast.walk(call))
    return [node for node in layers if isinstance(node, ast.Constant) and type(node.value) is kind]


def of_another_size(tree: ast.Module, rng: random.Random) -> str | None:
    found = [node for node in _constants(tree, int) if node.value]
    if not found:
        return None
    node = rng.choice(found)
    node.value = node.value * 2 if rng.random() < 0.5 else node.value + 1
    return _text(tree)


def of_another_rate(tree: ast.Module, rng: random.Random) -> str | None:
    found = _constants(tree, float)
    if not found:
        return None
    rng.choice(found).value = 0.123
    return _text(tree)


def of_another_table(tree: ast.Module, rng: random.Random) -> str | None:
    lists = [
        n for m in _methods(tree) for n in ast.walk(m) if isinstance(n, ast.List) and n.elts and _is_integer(n.elts[0])
    ]
    if not lists:
        return None
    elements = rng.choice(lists).elts
    elements.insert(rng.randrange(len(elements) + 1), copy.deepcopy(rng.choice(elements)))
    return _text(tree)


def with_another_activation(tree: ast.Module, rng: random.Random) -> str | None:
    names = ("ReLU", "GELU", "SiLU", "Hardswish", "LeakyReLU", "ELU")
    found = [call.func for call, layer in _layers(tree) if layer.__name__ in names]
    if not found:
        return None
    chosen = rng.choice(found)
    assert isinstance(chosen, ast.Attribute)
    chosen.attr = rng.choice([name for name in names if name != chosen.attr])
    return _text(tree)


def _sequences(tree: ast.Module, least: int) -> list[ast.Call]:
    calls = (n for m in _methods(tree, "__init__") for n in ast.walk(m) if isinstance(n, ast.Call))
    return [c for c in calls if getattr(c.func, "attr", "") == "Sequential" and len(c.args) >= least]


def with_a_layer_more(tree: ast.Module, rng: random.Random) -> str | None:
    found = _sequences(tree, 2)
    if not found:
        return None
    arguments = rng.choice(found).args
    place = rng.randrange(len(arguments))
    arguments.insert(place, copy.deepcopy(arguments[place]))
    return _text(tree)


def with_a_layer_less(tree: ast.Module, rng: random.Random) -> str | None:
    found = _sequences(tree, 2)
    if not found:
        return None
    arguments = rng.choice(found).args
    del arguments[rng.randrange(len(arguments))]
    return _text(tree)


def with_layers_swapped(tree: ast.Module, rng: random.Random) -> str | None:
    found = _sequences(tree, 2)
    if not found:
        return None
    arguments = rng.choice(found).args
    place = rng.randrange(len(arguments) - 1)
    if ast.dump(arguments[place]) == ast.dump(arguments[place + 1]):
        return None
    arguments[place], arguments[place + 1] = arguments[place + 1], arguments[place]
    return _text(tree)


def _steps(tree: ast.Module) -> list[tuple[ast.FunctionDef, int]]:
    """Lines of `forward` that apply something and bind its result to the name that it was applied to."""
    found = []
    for method in _methods(tree, "forward"):
        for place, statement in enumerate(method.body):
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.Name(id=again)])) if (
                    name == again
                ):
                    found.append((method, place))
    return found


def with_a_step_more(tree: ast.Module, rng: random.Random) -> str | None:
    found = _steps(tree)
    if not found:
        return None
    method, place = rng.choice(found)
    method.body.insert(place, copy.deepcopy(method.body[place]))
    return _text(tree)


def with_a_step_less(tree: ast.Module, rng: random.Random) -> str | None:
    found = _steps(tree)
    if not found:
        return None
    method, place = rng.choice(found)
    del method.body[place]
    return _text(tree)


def with_steps_swapped(tree: ast.Module, rng: random.Random) -> str | None:
    steps = _steps(tree)
    made = {
        ast.unparse(s.targets[0]): ast.dump(s.value)
        for m in _methods(tree)
        for s in m.body
        if isinstance(s, ast.Assign)
    }
    found = [(m, p) for m, p in steps if (m, p + 1) in steps and _made_by(m, p, made) != _made_by(m, p + 1, made)]
    if not found:
        return None
    method, place = rng.choice(found)
    method.body[place], method.body[place + 1] = method.body[place + 1], method.body[place]
    return _text(tree)


def _made_by(method: ast.FunctionDef, place: int, made: dict[str, str]) -> str:
    """How what a step applies was constructed; two of one make are the same in either order."""
    statement = method.body[place]
    assert isinstance(statement, ast.Assign)
    assert isinstance(statement.value, ast.Call)
    return made.get(ast.unparse(statement.value.func), ast.unparse(statement.value.func))


def with_another_operator(tree: ast.Module, rng: random.Random) -> str | None:
    found = [n for m in _methods(tree, "forward") for n in ast.walk(m) if isinstance(n, ast.BinOp)]
    if not found:
        return None
    node = rng.choice(found)
    if rng.random() < 0.5:
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
    else:
        node.right = copy.deepcopy(node.left)
    return _text(tree)


def with_another_source(tree: ast.Module, rng: random.Random) -> str | None:
    """One name that is read in `forward` becomes another of those known there, none of them a mere second name."""
    found = []
    for method in _methods(tree, "forward"):
        known = {"x"}
        for statement in method.body:
            reads = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
            found += [(n, other) for n in reads if n.id in known for other in sorted(known - {n.id})]
            if isinstance(statement, ast.Assign) and not isinstance(statement.value, ast.Name):
                known |= {t.id for t in statement.targets if isinstance(t, ast.Name)}
    if not found:
        return None
    name, other = rng.choice(found)
    name.id = other
    return _text(tree)


def with_a_flag_turned(tree: ast.Module, rng: random.Random) -> str | None:
    calls = [call for call, layer in _layers(tree) if layer.__name__ in ("Conv2d", "Linear")]
    if not calls:
        return None
    call = rng.choice(calls)
    flags = [keyword for keyword in call.keywords if keyword.arg == "bias"]
    call.keywords = [keyword for keyword in call.keywords if keyword.arg != "bias"]
    if not flags:
        call.keywords.append(ast.keyword("bias", ast.Constant(False)))
    return _text(tree)


def with_another_stride(tree: ast.Module, rng: random.Random) -> str | None:
    calls = [
        c for c, layer in _layers(tree) if layer.__name__ == "Conv2d" and not any(k.arg == "stride" for k in c.keywords)
    ]
    calls = [call for call in calls if len(call.args) <= 3]
    if not calls:
        return None
    rng.choice(calls).keywords.append(ast.keyword("stride", ast.Constant(3)))
    return _text(tree)


OTHER: tuple[Respelling, ...] = (
    of_another_size,
    of_another_rate,
    of_another_table,
    with_another_activation,
    with_a_layer_more,
    with_a_layer_less,
    with_layers_swapped,
    with_a_step_more,
    with_a_step_less,
    with_steps_swapped,
    with_another_operator,
    with_another_source,
    with_a_flag_turned,
    with_another_stride,
)
