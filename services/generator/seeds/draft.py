"""A file in parts, and how the parts become text."""

from dataclasses import dataclass, field
from textwrap import indent

from services.generator.seeds.body import Body, Layers

_LINE = 96
_HEAD = """import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum'}"""


@dataclass
class Draft:
    """Statements without indentation, in the order in which they are written."""

    helpers: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    learn: list[str] = field(default_factory=list)

    def add(self, body: Body) -> None:
        """Put a body's layers and steps after what is there."""
        self.layers += assignments(body.layers)
        self.steps += body.steps

    def text(self) -> str:
        """Return the whole file."""
        return "\n\n\n".join([_HEAD, *self.helpers, self._net()]) + "\n"

    def _net(self) -> str:
        opening = ["super().__init__()", "self.device = device"]
        methods = [
            method("__init__(self, in_shape, out_shape, prm, device)", [*opening, *self.layers]),
            method("forward(self, x)", self.steps),
            method("train_setup(self, prm)", self.setup),
            method("learn(self, train_data)", self.learn),
        ]
        return "class Net(nn.Module):\n" + "\n\n".join(methods)


def method(signature: str, statements: list[str]) -> str:
    """Return a method of a class, indented."""
    return indent(f"def {signature}:\n" + indent("\n".join(statements), "    "), "    ")


def module(name: str, parameters: str, body: Body) -> str:
    """Return a helper module that holds one body."""
    init = method(f"__init__(self, {parameters})", ["super().__init__()", *assignments(body.layers)])
    return f"class {name}(nn.Module):\n{init}\n\n" + method("forward(self, x)", _returning(body.steps))


def assignments(layers: Layers) -> list[str]:
    """Return `self.name = module` for each layer; several modules become a Sequential."""
    return [f"self.{name} = {sequential(modules)}" for name, modules in layers.items()]


def sequential(modules: list[str]) -> str:
    """Return one expression for modules in sequence, over several lines where it is long."""
    if len(modules) == 1:
        return modules[0]
    flat = f"nn.Sequential({', '.join(modules)})"
    if len(flat) <= _LINE:
        return flat
    return "nn.Sequential(\n" + "".join(f"    {module},\n" for module in modules) + ")"


def _returning(steps: list[str]) -> list[str]:
    *before, last = steps
    return [*before, "return " + last.removeprefix("x = ")]
