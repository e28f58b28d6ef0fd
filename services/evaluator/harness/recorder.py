"""Follows a network's forward passes as torch carries them out, below autograd, into one dataflow.

A value is known by its place in memory: views of the same numbers in the same order are the same value.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from services.evaluator.harness.dataflow import Dataflow, Edge, TooLarge
from services.evaluator.harness.flaw import named
from services.evaluator.harness.flops import compound
from services.evaluator.harness.memory import Memories, Untraceable
from services.evaluator.harness.operators import Call, edges
from services.evaluator.harness.rewriting import rewritten
from services.evaluator.harness.schemas import Operator

LIMIT = 50_000  # values; the largest of LEMUR's networks have some thousands
_READS = frozenset({"_local_scalar_dense", "equal"})
_READ = "the program reads numbers that the network computes, on which its way may depend"


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds to `graph` while it is active. Why something cannot be followed is told in `why`; nothing is raised."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph, self.why = Dataflow(LIMIT), ""
        self._memories = Memories(self.graph, net)
        self._images: int | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: the sandbox has no compiler, which this would exclude at each operator."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and record it; a compound operator is recorded by its parts."""
        given = kwargs or {}
        if self.why:
            return func(*args, **given)
        if compound(func):
            with self:
                return func.decompose(*args, **given)
        operator = Operator.of(func)
        arguments = dict(zip(operator.arguments, args, strict=False)) | given
        followed = self._read(arguments)
        output = func(*args, **given)
        if followed is not None:
            self._note(operator, arguments, followed, output)
        return output

    def show(self, images: Tensor) -> None:
        """Record the images, which are the same value each time."""
        if self._images is None:
            self._images = self.graph.add_distinct("images", "", tuple(images.shape), images.dtype)
        self._memories.remember(images, self._images)

    def outputs(self, output: Any) -> list[Edge]:
        """Return all tensors in the output of a pass. Raises Untraceable."""
        return [self._memories.edge(tensor) for tensor in _tensors(output)]

    def lose(self) -> None:
        """Note that numbers leave torch by another way than an operator."""
        self.why = self.why or _READ

    def _read(self, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """Return the arguments with edges in place of tensors, before anything is written to these."""
        try:
            return {name: self._followed(value) for name, value in arguments.items()}
        except Exception as error:  # noqa: BLE001 - what cannot be followed is no flaw
            self.why = reason(error)
            return None

    def _followed(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._memories.edge(value)
        return [self._followed(each) for each in value] if isinstance(value, list | tuple) else value

    def _note(self, operator: Operator, arguments: dict[str, Any], followed: dict[str, Any], output: Any) -> None:
        try:
            self._noted(operator, arguments, followed, list(_tensors(output)))
        except TooLarge as error:
            self.why = reason(error)
            raise
        except Exception as error:  # noqa: BLE001 - as above
            self.why = reason(error)

    def _noted(
        self, operator: Operator, arguments: dict[str, Any], followed: dict[str, Any], made: list[Tensor]
    ) -> None:
        if operator.name in _READS and not all(
            self.graph.nodes[edge.node].constant for edge in edges(followed.values())
        ):
            raise Untraceable(_READ)
        written = [arguments[name] for name in operator.written if arguments.get(name) is not None]
        if written and (not made or any(not isinstance(tensor, Tensor) for tensor in written)):
            raise Untraceable(f"{operator.name} writes where it is not followed")
        if not made or (operator.views and all(map(self._memories.knows, made))):
            return
        values = self._values(operator, followed, made)
        for tensor, value in zip(made, values, strict=False):
            if not (operator.views and self._memories.knows(tensor)):
                self._memories.remember(tensor, value)
        flows = any(edge.gradient for edge in edges(followed.values()))
        for tensor in written:
            given_back = [value for each, value in zip(made, values, strict=False) if each is tensor]
            value = given_back[0] if given_back else self._effect(values[0], tensor)
            self._memories.write(tensor, Edge(value, flows))

    def _values(self, operator: Operator, followed: dict[str, Any], made: list[Tensor]) -> list[int]:
        """Return the results, each tensor a value of its own."""
        shapes = [tuple(tensor.shape) for tensor in made]
        call = Call(self.graph, operator.name, followed, shapes, made[0].dtype)
        found = self._drawn(call, fills=bool(operator.written)) if operator.drawn else rewritten(call)
        if isinstance(found, list):
            return found
        rest = enumerate(made[1:], 1)
        return [found, *(self.graph.add("output", i, [Edge(found)], shapes[i], tensor.dtype) for i, tensor in rest)]

    def _effect(self, value: int, tensor: Tensor) -> int:
        """Return the value that an operator leaves in a tensor that it does not return."""
        return self.graph.add("effect", "", [Edge(value)], tuple(tensor.shape), tensor.dtype)

    def _drawn(self, call: Call, *, fills: bool) -> int:
        """Return the value of an operator that draws random numbers.

        A tensor that it fills, or whose shape it takes, is no input of it.
        """
        draw: dict[str, Any] = {"draw": Edge(self.graph.add_distinct("draw", "", (), torch.float32))}
        if fills or call.name.endswith("_like"):
            draw |= {"self": list(call.shape)}
        return call.plainly(draw)


def reason(error: BaseException) -> str:
    """Say why there is no graph."""
    if isinstance(error, TooLarge):
        return f"it has more than {LIMIT} operators"
    return str(error) if isinstance(error, Untraceable) else named(error)


def _tensors(output: Any) -> Iterable[Tensor]:
    """Yield the tensors in any nesting of lists and dictionaries."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple | dict):
        for each in output.values() if isinstance(output, dict) else output:
            yield from _tensors(each)
