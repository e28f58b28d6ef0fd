"""Messages between the service and the fork server over their socket pair: JSON and descriptors."""

import dataclasses
import json
import socket
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from services.evaluator.sandbox.limits import Bounds

MESSAGE_LIMIT = 64 * 1024

# How many times its wall seconds a candidate may take where it is refused a CPU; past that the machine is at fault.
PATIENCE = 5
_DESCRIPTOR_LIMIT = 16


class Layout(NamedTuple):
    """Element type and shape of an array behind a descriptor."""

    dtype: str
    shape: tuple[int, ...]


class Descriptors(NamedTuple):
    """Descriptors that go with an order.

    control: closed by the service to have the job killed. report: the fork server's account of the job. result, output:
    the child's frames, and its stdout and stderr. source: the candidate. arrays: memory files. groups: `cgroup.procs`
    files to join, if any.
    """

    control: int
    report: int
    result: int
    output: int
    source: int
    arrays: tuple[int, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True)
class JobOrder:
    """Order to start one job; `task` is JSON for the harness, `gpu` the only GPU that it is to see."""

    bounds: Bounds
    task: str
    arrays: tuple[Layout, ...]
    gpu: str | None = None

    def send(self, channel: socket.socket, fds: Descriptors) -> None:
        """Send the order with its descriptors. Raises OSError where the fork server is gone."""
        flat = [*fds[:5], *fds.arrays, *fds.groups]
        socket.send_fds(channel, [json.dumps(dataclasses.asdict(self)).encode()], flat)

    @classmethod
    def receive(cls, channel: socket.socket) -> tuple[Self, Descriptors] | None:
        """Receive the next order; None when the service is gone."""
        body, fds, _, _ = socket.recv_fds(channel, MESSAGE_LIMIT, _DESCRIPTOR_LIMIT)
        if not body:
            return None
        values = json.loads(body)
        layouts = tuple(Layout(dtype, tuple(shape)) for dtype, shape in values["arrays"])
        order = cls(Bounds(**values["bounds"]), values["task"], layouts, values["gpu"])
        end = 5 + len(layouts)
        control, report, result, output, source = fds[:5]
        return order, Descriptors(control, report, result, output, source, tuple(fds[5:end]), tuple(fds[end:]))


def encode(**values: Any) -> bytes:
    """Return one message or report as a line of JSON."""
    return json.dumps(values).encode() + b"\n"
