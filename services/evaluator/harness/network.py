"""From a module's namespace to a network: construct, propagate shapes, on the meta device what is large."""

import inspect
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from services.evaluator.harness.contract import METHODS, SUPPORTED
from services.evaluator.harness.flaw import Flaw
from services.evaluator.harness.measures import Cost, cost
from services.evaluator.harness.task import Task

CPU = torch.device("cpu")
META = torch.device("meta")
_UNKNOWN_HYPERPARAMETER = 0.5  # LEMUR draws those from [0, 1]
_SMALL = 4 * 1024**2  # parameters; up to here a real network is built in less time than one on the meta device
_PROBE = 2  # images a shape is tried with


class _TooLarge(BaseException):
    """No Exception, so that no candidate swallows it by its own care."""


@dataclass
class _Room:
    """How many more numbers may become parameters."""

    left: int

    def take(self, _module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        """For torch's hook: called after the memory is reserved, before it is written."""
        if parameter is not None and not is_lazy(parameter):
            self.left -= parameter.numel()
            if self.left < 0:
                raise _TooLarge


class Candidate:
    """The candidate's class and what it is called with. Raises Flaw `contract_error` where it is no such class."""

    def __init__(self, namespace: Mapping[str, Any], task: Task) -> None:
        self._net, self._task = _checked(namespace.get("Net")), task
        self.prm = MappingProxyType(_hyperparameters(namespace[SUPPORTED], task))

    def build(self, device: torch.device = CPU) -> Any:
        """A new Net, the same each time: every generator is seeded before."""
        random.seed(self._task.seed)
        np.random.seed(self._task.seed)
        torch.manual_seed(self._task.seed)
        shapes = (1, *self._task.shape), (self._task.classes,)
        return self._net(*shapes, dict(self.prm), device).to(device)

    def build_small(self) -> Any | None:
        """On the CPU; None for a network of so many parameters that shapes are cheaper without them."""
        room = _Room(_SMALL)
        hook = register_module_parameter_registration_hook(room.take)
        try:
            return self.build()
        except _TooLarge:
            return None
        finally:
            hook.remove()

    def build_abstractly(self) -> Any | None:
        """A network without memory behind its parameters; None where the candidate does what no such tensor can."""
        try:
            with META:
                return self.build(META)
        except Exception:  # noqa: BLE001 - whether it is the candidate's fault, the CPU will tell
            return None

    def output_shape(self, net: nn.Module, device: torch.device) -> tuple[int, ...]:
        """Of a batch in evaluation mode. Raises Flaw `shape_error` if it is no tensor of the right shape."""
        net.eval()
        with torch.no_grad(), device:
            output = net(self._probe())
        self.check_output(output, _PROBE)
        return tuple(output.shape)

    def cost(self, net: nn.Module, device: torch.device) -> Cost | None:
        """Of a network whose output shape was seen to be right."""
        with device:
            return cost(net, self._probe())

    def _probe(self) -> Tensor:
        return torch.zeros(_PROBE, *self._task.shape)

    def fits_abstractly(self, net: nn.Module) -> bool:
        """Whether shapes propagate on the meta device; False says nothing yet."""
        try:
            return bool(self.output_shape(net, META))
        except Exception:  # noqa: BLE001 - as above
            return False

    def check_output(self, output: object, batch: int) -> None:
        """Raises Flaw `shape_error`."""
        expected = (batch, self._task.classes)
        if not isinstance(output, Tensor):
            raise Flaw("shape_error", f"output is {type(output).__name__}, expected a tensor of {expected}")
        if tuple(output.shape) != expected:
            raise Flaw("shape_error", f"output has shape {tuple(output.shape)}, expected {expected}")


def parameters(net: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in net.parameters())


def _checked(net: object) -> Any:
    if not (isinstance(net, type) and issubclass(net, nn.Module)):
        raise Flaw("contract_error", "Net is no subclass of nn.Module")
    for name in METHODS:
        if not callable(getattr(net, name, None)) or getattr(net, name) is getattr(nn.Module, name, None):
            raise Flaw("contract_error", f"class Net has no {name}")
    try:
        inspect.signature(net).bind("in_shape", "out_shape", "prm", "device")
    except TypeError as error:
        raise Flaw("contract_error", f"Net(in_shape, out_shape, prm, device): {error}") from error
    return net


def _hyperparameters(supported: object, task: Task) -> dict[str, Any]:
    """`prm`; names beyond the protocol's get the middle of the range that LEMUR draws from."""
    names = supported() if callable(supported) else supported
    if not isinstance(names, set | frozenset | list | tuple | dict):
        raise Flaw("contract_error", f"{SUPPORTED}() gives {type(names).__name__}, expected a set of names")
    return {str(name): _UNKNOWN_HYPERPARAMETER for name in names} | task.prm()
