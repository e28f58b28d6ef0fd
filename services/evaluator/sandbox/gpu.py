"""What a child needs to reach a GPU, beyond what the CPU asks of it: device files, and calls that the driver makes.

After NVIDIA's own list of a container's device nodes (nvidia-container-toolkit) and CUDA's calls as strace shows them.
"""

from collections.abc import Sequence
from pathlib import Path

_SHARED = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-caps")

# Text files of /proc that the driver's library reads, and that the jail holds as copies.
FACTS = ("/proc/driver/nvidia/params", "/proc/driver/nvidia/version", "/proc/devices")

# The driver talks by ioctl, whose requests no filter can tell apart: this is why the GPU is the weakest wall.
SYSTEM_CALLS = "ioctl memfd_create get_mempolicy set_mempolicy mbind sched_setaffinity timer_create timerfd_create"


def device_files() -> list[str]:
    """All of this machine's."""
    cards = sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    return [*cards, *(path for path in _SHARED if Path(path).exists())]


def visible(gpu: str, files: Sequence[str]) -> list[str]:
    """Those that a child on this GPU may open: of other GPUs none, where its number is known."""
    card = f"/dev/nvidia{gpu}"
    return [
        path for path in files if path == card or not gpu.isdigit() or not path.removeprefix("/dev/nvidia").isdigit()
    ]
