"""No test passes because it looked at nothing, or because its own mistake is the error that it awaits."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
FILES = sorted(TESTS.rglob("test_*.py"))
CHECKING = {"raises", "fail", "call_and_validate"}
ANYTHING = {"Exception", "BaseException"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor)


def _name(node: ast.AST) -> str:
    match node:
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case ast.Call():
            return _name(node.func)
        case _:
            return ""


def _too_wide(node: ast.AST) -> bool:
    """Whether it awaits whatever a mistake in the test would raise: anything, or any failed assertion."""
    if not (isinstance(node, ast.Call) and _name(node) == "raises" and node.args):
        return False
    awaited = {_name(each) for each in ast.walk(node.args[0])}
    told = any(keyword.arg in {"match", "check"} for keyword in node.keywords)
    return bool(awaited & ANYTHING) or ("AssertionError" in awaited and not told)


def _certain(loop: ast.expr) -> bool:
    """Whether what is looped over has members for all to see: it is written out, counted out, or a constant."""
    match loop:
        case ast.Tuple() | ast.List() | ast.Set():
            return bool(loop.elts)
        case ast.Dict():
            return bool(loop.keys)
        case ast.Constant(value=int(number)):
            return number > 0
        case ast.Name() | ast.Attribute() if _name(loop).isupper():
            return True
        case ast.Call(func=ast.Name(id="range"), args=[ast.Name()]):
            return True
        case ast.Call():
            return any(map(_certain, (loop.func, *loop.args)))
        case ast.Attribute():
            return _certain(loop.value)
        case _:
            return False


def _checks(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and _name(node) in CHECKING)


def _surely(node: ast.AST, helpers: set[str]) -> bool:
    """Whether something is checked however the code goes. `helpers` check what they return."""
    match node:
        case ast.For() | ast.AsyncFor():
            certain = _certain(node.iter) and any(_surely(each, helpers) for each in node.body)
            return certain or _surely(node.iter, helpers)
        case ast.If():
            return all(any(_surely(each, helpers) for each in way) for way in (node.body, node.orelse))
        case ast.While() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return False
        case ast.Call() if _name(node) in helpers:
            return True
        case _:
            return _checks(node) or any(_surely(each, helpers) for each in ast.iter_child_nodes(node))


def _hollow(source: ast.Module) -> Iterator[str]:
    """The tests that check in a loop or a branch only, which may never be entered. Properties of drawn values may."""
    functions = [node for node in ast.walk(source) if isinstance(node, FUNCTIONS)]
    helpers = {each.name for each in functions if any(_surely(line, set()) for line in each.body)}
    for test in (each for each in functions if each.name.startswith("test_")):
        drawn = any(_name(decorator) == "given" for decorator in test.decorator_list)
        checked = any(_checks(node) for node in ast.walk(test))
        if checked and not drawn and not any(_surely(line, helpers) for line in test.body):
            yield test.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_every_test_can_fail(path: Path) -> None:
    source = ast.parse(path.read_bytes())
    assert [node.lineno for node in ast.walk(source) if _too_wide(node)] == []
    assert list(_hollow(source)) == []


def test_all_tests_are_looked_at() -> None:
    assert len(FILES) > 200


WIDE = ["raises(Exception)", "pytest.raises(BaseException)", "raises((KeyError, Exception))", "raises(AssertionError)",
        "raises((ValueError, AssertionError))", "raises(Exception, match='x')"]  # fmt: skip
NARROW = ["raises(KeyError)", "pytest.raises((KeyError, OSError))", "raises(AssertionError, match='x')",
          "raises(InvalidInput, match='Exception')", "raise_for_status(Exception)",
          "raises(OSError, check=Exception)"]  # fmt: skip


@pytest.mark.parametrize(("call", "wide"), [*((each, True) for each in WIDE), *((each, False) for each in NARROW)])
def test_what_awaits_any_error_is_told(call: str, wide: bool) -> None:
    assert any(_too_wide(node) for node in ast.walk(ast.parse(call))) is wide


HOLLOW = [
    "for each in found(): assert each",
    "for each in found:\n  with raises(KeyError): each()",
    "async for line in stream: assert line; break",
    "while waiting(): assert True",
    "if found: assert found[0]",
    "for name in pods(objects):\n  if name == 'evaluator': assert files(name)",
    "for each in []: assert each",
    "for each in range(0): assert each",
    "for each in range(len(found)): assert each",
    "def inner(): assert False",
    "with opened() as it:\n  for each in it: assert each",
]
SOUND = [
    "assert found\nfor each in found: assert each",
    "for each in ('a', 'b'): assert each",
    "for each in range(5): assert each",
    "for each in range(count): assert each",
    "for each in written('dense', 60): assert each",
    "for name, each in NAMES.items(): assert each",
    "for each in module.NAMES: assert each",
    "for a, b in zip(NAMES, found, strict=True): assert a",
    "if found: assert found[0]\nelse: fail('nothing')",
    "for each in checked(): print(each)\nfor each in found: assert each",
    "with raises(KeyError): found['x']",
    "for each in found: print(each)",
]


@pytest.mark.parametrize(("lines", "hollow"), [*((each, True) for each in HOLLOW), *((each, False) for each in SOUND)])
def test_a_test_that_may_look_at_nothing_is_told(lines: str, hollow: bool) -> None:
    body = "".join(f"  {line}\n" for line in lines.splitlines())
    source = ast.parse(f"def checked():\n  assert found\n  return found\nasync def test_it():\n{body}")
    assert bool(list(_hollow(source))) is hollow
