"""Walks over syntax trees, held against those of the standard library, on sources of this project."""

import ast
from pathlib import Path

import pytest

from services.novelty.frames import stored_names
from services.novelty.trees import children, nodes, statements, walk

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "services/novelty").glob("*.py")) + sorted((ROOT / "archloop/contracts").glob("*.py"))
LEFT_OUT = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
STATEMENTS = (ast.mod, ast.stmt, ast.excepthandler, ast.match_case)


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem)
def tree(request):
    return ast.parse(request.param.read_text())


def annotations(node):
    """What stands in a node's own annotations."""
    return [part for part in (getattr(node, "annotation", None), getattr(node, "returns", None)) if part is not None]


def test_a_walk_is_that_of_the_standard_library_without_contexts_operators_and_annotations(tree):
    beneath = {id(n) for node in ast.walk(tree) for part in annotations(node) for n in ast.walk(part)}
    expected = [node for node in ast.walk(tree) if not isinstance(node, LEFT_OUT) and id(node) not in beneath]
    assert list(walk(tree)) == list(nodes(tree)) == expected


def test_children_are_in_order_of_reading(tree):
    found = list(walk(tree))
    assert found
    for node in found:
        below = [n for n in ast.iter_child_nodes(node) if n not in annotations(node)]
        assert children(node) == [n for n in below if not isinstance(n, LEFT_OUT)]


def test_statements_are_all_there_are(tree):
    found = list(statements(tree))
    assert len(found) == len(set(found))
    assert set(found) == {node for node in ast.walk(tree) if isinstance(node, STATEMENTS)}


TARGETS = [
    "a = b, *c = d[e] = f.g = 1",
    "for a, (b, *c) in d: e = [f for f in g]",
    "with a as b, c as (d, e): f += 1",
    "try: a = 1\nexcept b as c: d = 2\nelse: e: int = 3\nfinally: del f, g[h]",
    "match a:\n  case [b, *c] | {'d': e, **f}: g = 1\n  case h(i, j=k) as l: pass\n  case _ if m: n = 1",
    "def a(b=c):\n  d = 1\nclass e:\n  f = 1",
    "while a: b = lambda c: d\nelse: e = {f: g for f, g in h}",
    "async def a():\n  b = 1",
    "if a:\n  (b), [c] = d\nelse:\n  e[f].g = h",
    "global a\na = b",
]


def names(statements, **how):
    return [list(stored_names(statement, **how)) for statement in statements]


@pytest.mark.parametrize("source", TARGETS)
def test_where_no_expression_assigns_only_targets_are_looked_at(source):
    body = ast.parse(source).body
    assert names(body, walrus=False) == names(body)


def test_where_no_expression_assigns_only_targets_are_looked_at_in_whole_files(tree):
    compared = [n for n in ast.walk(tree) if isinstance(n, ast.stmt)]
    compared = [n for n in compared if not any(isinstance(part, ast.NamedExpr) for part in ast.walk(n))]
    assert compared
    assert names(compared, walrus=False) == names(compared)
