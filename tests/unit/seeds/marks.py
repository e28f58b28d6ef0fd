"""A plain reading of which families a file bears the marks of, and whether it trains: independent of the services."""

import ast
import re
from typing import Any

import torch

SHAPE, CLASSES = (3, 20, 20), 10
PRM = {"lr": 0.01, "momentum": 0.9, "dropout": 0.2, "batch": 4, "epoch": 1, "transform": "none"}


def marks(code: str) -> set[str]:
    """The families whose mark is somewhere in the file; `plain` where none is."""
    forwards = "\n".join(
        ast.unparse(node)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef) and node.name == "forward"
    )
    pooled_gate = re.search(
        r"AdaptiveAvgPool2d\(1\),[^=]*Sigmoid\(\)|x\.mean\([^)]*\)\)+\n.*(?:w\[|w\.unsqueeze)", code, re.DOTALL
    )
    attends = bool(re.search(r"MultiheadAttention|softmax", code))
    found = {
        "attention": attends,
        "squeeze_excite": bool(re.search(r"x \* |\* x", forwards)) and bool(pooled_gate),
        "residual": bool(re.search(r" \+ ", forwards)),
        "depthwise": "groups=" in code,
        "dense": bool(re.search(r"cat\(\[x, |features\.append", forwards)),
    }
    found["inception"] = "torch.cat" in forwards and not found["dense"]
    found["gated"] = bool(re.search(r"[sS]igmoid", code)) and " * " in forwards and not pooled_gate
    return {family for family, present in found.items() if present} or {"plain"}


def train_one_step(code: str) -> torch.Tensor:
    """Build, learn from one batch, and return logits of another, (5, classes)."""
    space: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(code, "candidate", "exec"), space)
    keys = space["supported_hyperparameters"]()
    assert all(f"prm['{key}']" in code for key in keys), "a declared key is not used"
    assert keys <= PRM.keys()
    net = space["Net"]((1, *SHAPE), (CLASSES,), dict(PRM), torch.device("cpu"))
    net.train_setup(dict(PRM))
    net.learn(iter([(torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 3]))]))
    logits: torch.Tensor = net.eval()(torch.randn(5, *SHAPE))
    assert logits.shape == (5, CLASSES), logits.shape
    return logits


def parameters(code: str) -> int:
    """The number of trainable parameters."""
    space: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(code, "candidate", "exec"), space)
    net = space["Net"]((1, *SHAPE), (CLASSES,), dict(PRM), torch.device("cpu"))
    return sum(p.numel() for p in net.parameters())
