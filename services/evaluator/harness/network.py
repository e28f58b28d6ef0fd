"""From a module's namespace to a network: construct it, propagate shapes; large ones on the meta device."""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from services.evaluator.harness import entropy
from services.evaluator.harness.contract import NET, SUPPORTED
from services.evaluator.harness.flaw import Flaw
from services.evaluator.harness.measures import Cost, cost
from services.evaluator.harness.task import Task

CPU = torch.device("cpu")
META = torch.device("meta")
METHODS = ("forward", "train_setup", "learn")
_UNKNOWN_HYPERPARAMETER = 0.5  # LEMUR draws those from [0, 1]
_KNOWN = MappingProxyType({"pretrained": 0.0})  # there are no weights here to begin with
_SMALL = 4 * 1024**2  # parameters; up to here a real network is built in less time than one on the meta device
_PROBE = 2  # images a shape is tried with


class _TooLarge(BaseException):
    """The network has too many parameters; no Exception, so that no candidate catches it by accident."""


@dataclass
class _Room:
    """Limit on how many more numbers may become parameters."""

    left: int

    def take(self, _module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        """Count a parameter, as torch's hook: called after its memory is reserved, before it is written."""
        if parameter is not None and not is_lazy(parameter):
            self.left -= parameter.numel()
            if self.left < 0:
                raise _TooLarge


class Candidate:
    """The candidate's class and the arguments of its constructor.

    `prm` is the dictionary that the network built last was given, and is given again when it is set up. Raises Flaw
    `contract_error` where there is no such class.
    """

    def __init__(self, namespace: Mapping[str, Any], task: Task) -> None:
        self._net, self._task = _callable(namespace), task
        self._hyperparameters = _hyperparameters(namespace[SUPPORTED], task)
        self.prm = dict(self._hyperparameters)

    def build(self, device: torch.device = CPU) -> Any:
        """Build a new network, the same each time: every generator is seeded before."""
        entropy.seed(self._task.seed)
        self.prm = dict(self._hyperparameters)
        shapes = (self._task.batch, *self._task.shape), (self._task.classes,)
        return _checked(self._net(*shapes, self.prm, device)).to(device)

    def build_small(self) -> Any | None:
        """Build the network on the CPU; None if it has so many parameters that shapes are cheaper without."""
        room = _Room(_SMALL)
        hook = register_module_parameter_registration_hook(room.take)
        try:
            return self.build()
        except _TooLarge:
            return None
        finally:
            hook.remove()

    def build_abstractly(self) -> Any | None:
        """Build a network without memory behind its parameters.

        None where the candidate does what tensors without memory cannot.
        """
        try:
            with META:
                return self.build(META)
        except Exception:  # noqa: BLE001 - whether it is the candidate's fault, the CPU will tell
            return None

    def output_shape(self, net: nn.Module, device: torch.device) -> tuple[int, ...]:
        """Return the shape of the output for a batch in evaluation mode.

        Raises Flaw `shape_error` if the output is no tensor of the right shape.
        """
        return tuple(self.output(net, self.probe(device)).shape)

    def output(self, net: nn.Module, images: Tensor) -> Tensor:
        """Return the output in evaluation mode, the same each time.

        Raises Flaw `shape_error` if it is no tensor of the right shape.
        """
        net.eval()
        entropy.seed(self._task.seed)
        with torch.no_grad(), _default(images.device):
            output = net(images)
        self.check_output(output, len(images))
        return output  # type: ignore[no-any-return]

    def cost(self, net: nn.Module, device: torch.device) -> Cost:
        """Measure the cost of a network whose output shape is known to be right."""
        with _default(device):
            return cost(net, self.probe(device))

    def probe(self, device: torch.device) -> Tensor:
        """Return the images (N, C, H, W) that a network is tried with."""
        return torch.zeros(_PROBE, *self._task.shape, device=device)

    def fits_abstractly(self, net: nn.Module) -> bool:
        """Return whether shapes propagate on the meta device; False does not count against the network."""
        try:
            return bool(self.output_shape(net, META))
        except Exception:  # noqa: BLE001 - as above
            return False

    def check_output(self, output: object, batch: int) -> None:
        """Raise Flaw `shape_error` unless the output is a tensor (batch, classes)."""
        expected = (batch, self._task.classes)
        if not isinstance(output, Tensor):
            raise Flaw("shape_error", f"output is {type(output).__name__}, expected a tensor of {expected}")
        if tuple(output.shape) != expected:
            raise Flaw("shape_error", f"output has shape {tuple(output.shape)}, expected {expected}")


def parameters(net: nn.Module) -> int:
    """Count the numbers that are trained, without those that a first pass has yet to shape."""
    return sum(parameter.numel() for parameter in net.parameters() if not is_lazy(parameter))


def _default(device: torch.device) -> AbstractContextManager[Any]:
    """Have constants made on this device that name none; the CPU needs no context for that."""
    return nullcontext() if device == CPU else device


def _callable(namespace: Mapping[str, Any]) -> Any:
    """Return `Net`: a class, as in LEMUR, or whatever makes a network when called as one."""
    net = namespace.get(NET)
    if not callable(net) or isinstance(net, nn.Module) or SUPPORTED not in namespace:
        missing = "class Net(nn.Module)" if SUPPORTED in namespace else f"function {SUPPORTED}()"
        raise Flaw("contract_error", f"no {missing} at the top level of the module")
    if isinstance(net, type) and not issubclass(net, nn.Module):
        raise Flaw("contract_error", "class Net is no nn.Module")
    try:
        inspect.signature(net).bind("in_shape", "out_shape", "prm", "device")
    except TypeError as error:
        raise Flaw("contract_error", f"Net(in_shape, out_shape, prm, device): {error}") from error
    return net


def _checked(net: object) -> Any:
    """Check a network that was built, when methods that are set late are there."""
    if not isinstance(net, nn.Module):
        raise Flaw("contract_error", f"Net(…) makes a {type(net).__name__}, expected an nn.Module")
    for name in METHODS:
        found = getattr(net, name, None)
        if not callable(found) or getattr(found, "__name__", "") == "_forward_unimplemented":
            raise Flaw("contract_error", f"class Net has no {name}")
    return net


def _hyperparameters(supported: object, task: Task) -> dict[str, Any]:
    """Return `prm`; names beyond the protocol's get the middle of the range that LEMUR draws from."""
    names = supported() if callable(supported) else supported
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise Flaw("contract_error", f"{SUPPORTED}() gives {type(names).__name__}, expected a set of names")
    return {str(name): _KNOWN.get(str(name), _UNKNOWN_HYPERPARAMETER) for name in names} | task.prm()
