"""What a child on a GPU finds, over a machine that is a directory: facts of the driver, and names for its threads."""

import pytest

from services.evaluator.sandbox import gpu

BUS = "0000:17:00.0"
TOLD = {
    "proc/devices": "195 nvidia\n",
    "proc/driver/nvidia/params": "ModifyDeviceFiles: 1\n",
    f"proc/driver/nvidia/gpus/{BUS}/information": "Device Minor: 0\n",
    "proc/driver/nvidia/capabilities/gpu0/mig/gi1/access": "DeviceFileMinor: 30\n",
    "proc/sys/vm/mmap_min_addr": "65536\n",
    "sys/module/nvidia_uvm/initstate": "live\n",
    "sys/devices/system/cpu/possible": "0-15\n",
    "sys/devices/system/node/online": "0\n",
    "sys/devices/system/node/node0/cpumap": "ffff\n",
    f"sys/bus/pci/devices/{BUS}/numa_node": "0\n",
}
NOT_TOLD = {
    "proc/cmdline": "root=/dev/secret\n",
    "proc/meminfo": "MemFree: 5 kB\n",
    "proc/driver/nvidia/gpus/registry": "x\n",
    "sys/devices/system/node/node0/meminfo": "MemFree: 5 kB\n",
    "sys/devices/system/node/node0/numastat": "numa_hit 5\n",
    f"sys/bus/pci/devices/{BUS}/resource0": "x\n",
    "sys/bus/pci/devices/0000:18:00.0/numa_node": "0\n",
    "sys/module/other/initstate": "live\n",
}


@pytest.fixture
def machine(tmp_path):
    for name, content in (TOLD | NOT_TOLD).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/status").write_text("Name:\tpython\nUid:\t0\nCpus_allowed:\tff\nMems_allowed_list:\t0\n")
    return tmp_path


def test_the_driver_finds_its_facts_and_nothing_of_what_the_machine_does(machine):
    told = gpu.facts(machine)
    status = told.pop("/proc/self/status")
    assert told == {f"/{name}": content.encode() for name, content in TOLD.items()}
    assert status == b"Cpus_allowed:\tff\nMems_allowed_list:\t0\n"


def test_what_cannot_be_read_is_left_out(machine):
    (machine / "proc/driver/nvidia/version").mkdir()
    (machine / "sys/module/nvidia_uvm/initstate").write_text("")
    told = gpu.facts(machine)
    assert not {"/proc/driver/nvidia/version", "/sys/module/nvidia_uvm/initstate"} & told.keys()


def test_every_thread_has_a_name_to_write(tmp_path):
    for path, target in gpu.task_links():
        (tmp_path / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.lstrip("/")).symlink_to(target)
    for file in ("self/task/1/comm", "self/task/77/comm", "1/task/2/comm", "self/task/1024/comm"):
        path = tmp_path / "proc" / file
        assert path.resolve().as_posix() == "/dev/null"
        path.write_text("cuda-EvtHandlr")
