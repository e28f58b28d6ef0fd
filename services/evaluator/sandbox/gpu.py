"""What a child needs to reach a GPU beyond what the CPU needs: device files, facts, and system calls of the driver.

Source: NVIDIA's list of a container's device nodes (nvidia-container-toolkit), CUDA's calls as strace shows them, and
what other sandboxes found that drivers from 570 on refuse to start without (CUDA error 304).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from services.evaluator.devices import Card, numbered
from services.evaluator.sandbox.calls import Bits, Masked, Only, Ways

DESCRIPTORS = 512  # CUDA holds dozens of the driver's files open
HOST_MEMORY = 2 * 1024**3  # what a context and CUDA's libraries take on the host, whatever the network
HOST_ADDRESSES = 8 * 1024**3  # what they reserve there to write to, most of it never touched
_SHARED = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-caps")

# Text files that the driver's library reads, of which the jail holds copies: the driver's own settings, and how
# processors and memory lie around the GPU. None tells what the machine is doing.
_FACTS = (
    "proc/devices",
    "proc/driver/nvidia/params",
    "proc/driver/nvidia/version",
    "proc/driver/nvidia/gpus/*/information",
    "proc/driver/nvidia/capabilities/*",
    "proc/driver/nvidia/capabilities/**/access",
    "proc/driver/nvidia-uvm/*",
    "proc/sys/vm/mmap_min_addr",
    "sys/module/nvidia*/initstate",
    "sys/module/nvidia*/version",
    "sys/devices/system/cpu/[op]*",
    "sys/devices/system/memory/block_size_bytes",
    "sys/devices/system/node/[hop]*",
    "sys/devices/system/node/node*/cpu[lm]*",
    "sys/devices/system/node/node*/distance",
)
_PCI = ("class", "device", "local_cpulist", "local_cpus", "numa_node", "subsystem_device", "subsystem_vendor", "vendor")
_FACT_LIMIT = 64 * 1024
_OF_STATUS = ("Cpus_allowed", "Mems_allowed")

# The driver's library names its threads through these files, and will not start where it cannot. In the jail each
# leads to /dev/null: the numbers are those of the child's own PID namespace, which has no /proc.
TASKS, _NAMED_TASKS = "/proc/self/task", 1024

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


def facts(root: Path = Path("/")) -> dict[str, bytes]:
    """Return the path and content of each fact that this machine has."""
    buses = [information.parent.name for information in root.glob("proc/driver/nvidia/gpus/*/information")]
    patterns = (*_FACTS, *(f"sys/bus/pci/devices/{bus}/{name}" for bus in buses for name in _PCI))
    found = {f"/{path.relative_to(root)}": _content(path) for pattern in patterns for path in root.glob(pattern)}
    lines = (_content(root / "proc/self/status") or b"").decode(errors="replace").splitlines(keepends=True)
    found["/proc/self/status"] = "".join(line for line in lines if line.startswith(_OF_STATUS)).encode()
    return {path: content for path, content in found.items() if content}


def task_links() -> Iterator[tuple[str, str]]:
    """Yield the links, as path and target, by which a thread's name goes nowhere."""
    yield "/proc/1", "self"
    yield "/proc/self/named/comm", "/dev/null"
    yield from ((f"{TASKS}/{number}", "../named") for number in range(1, _NAMED_TASKS + 1))


def visible(gpu: str, files: Sequence[str], cards: Sequence[Card]) -> list[str]:
    """Return the device files that a child on this GPU may open; none of other GPUs, where it is known which it is."""
    own = numbered(gpu, cards)
    others = {card.file for card in cards} - {own.file} if own is not None else set[str]()
    return [path for path in files if path not in others]


def environment(gpu: str, cards: Sequence[Card], *, alone: bool) -> dict[str, str]:
    """Return the environment by which CUDA finds this GPU.

    A child that can open no other GPU's device file, which is `alone`, sees its own as the first.
    """
    own = numbered(gpu, cards)
    name = gpu if own is None else own.uuid or ("0" if alone else gpu)
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": name, "CUDA_CACHE_DISABLE": "1"}


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_FACT_LIMIT)
    except OSError:  # a folder, or a file that nobody may read
        return None
