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


def declared(code: str) -> set[str]:
    """The hyper-parameters that the file says it uses."""
    return set(_space(code)["supported_hyperparameters"]())


def train_one_step(code: str) -> torch.Tensor:
    """Build, learn from one batch, and return logits of another; raise what the network raises, and assert nothing."""
    prm = dict(PRM)
    net = _net(code, prm)
    net.train_setup(prm)
    net.learn([(torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 3]))])
    logits: torch.Tensor = net.eval()(torch.randn(5, *SHAPE))
    return logits


def parameters(code: str) -> int:
    """The number of trainable parameters."""
    return sum(p.numel() for p in _net(code, dict(PRM)).parameters())


def _net(code: str, prm: dict[str, Any]) -> Any:
    return _space(code)["Net"]((1, *SHAPE), (CLASSES,), prm, torch.device("cpu"))


def _space(code: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(code, "candidate", "exec"), space)
    return space
