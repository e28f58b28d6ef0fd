"""What a child needs to reach a GPU beyond what the CPU needs: device files, and system calls of the driver.

Source: NVIDIA's list of a container's device nodes (nvidia-container-toolkit), and CUDA's calls as strace shows them.
"""

from collections.abc import Sequence
from pathlib import Path

from services.evaluator.sandbox.calls import Bits, Masked, Only, Ways

_SHARED = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-caps")

# Text files of /proc that the driver's library reads, and that the jail holds as copies.
FACTS = ("/proc/driver/nvidia/params", "/proc/driver/nvidia/version", "/proc/devices")

# CUDA places memory beside the GPU, wakes its threads by events, and looks at what the machine has.
WHOLE = """
    get_mempolicy set_mempolicy mbind sched_setaffinity sched_getparam sched_getscheduler
    sched_get_priority_max sched_get_priority_min
    eventfd2 epoll_create1 epoll_ctl epoll_wait epoll_pwait statfs fstatfs sysinfo
"""

# The driver talks by ioctl. Its requests can be told from those of files, terminals and sockets, but what they ask of
# the driver lies in memory, where no filter can look: this is why the GPU is the weakest wall.
SOME: dict[str, Ways] = {
    "ioctl": (
        (Masked(1, 0xFF00, ord("F") << 8, "type `F`"),),
        (Masked(1, 0xFFFFFF80, 0, "below 128"),),
        (Only(1, {"UVM_INITIALIZE": 0x30000001, "UVM_DEINITIALIZE": 0x30000002}),),
    ),
    "madvise": ((Only(2, {"MADV_DONTFORK": 10, "MADV_DOFORK": 11}),),),
    "memfd_create": ((Bits(1, {"MFD_CLOEXEC": 1, "MFD_ALLOW_SEALING": 2, "MFD_NOEXEC_SEAL": 8, "MFD_EXEC": 16}),),),
}


def device_files() -> list[str]:
    """Return all GPU device files of this machine."""
    cards = sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    return [*cards, *(path for path in _SHARED if Path(path).exists())]


def visible(gpu: str, files: Sequence[str]) -> list[str]:
    """Return the device files that a child on this GPU may open; none of other GPUs, where its number is known."""
    card = f"/dev/nvidia{gpu}"
    return [
        path for path in files if path == card or not gpu.isdigit() or not path.removeprefix("/dev/nvidia").isdigit()
    ]
