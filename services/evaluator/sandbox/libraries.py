"""Shared libraries that programs link, as this machine's dynamic loader finds them (ld.so(8), ldconfig(8))."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_AT_BASE = 7  # where the kernel loaded the dynamic loader (getauxval(3))
_FOUND = re.compile(r"^\t(?:.* => )?(/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)
_CACHED = re.compile(r"^\t\S+ \(.*\) => (/.*)$", re.MULTILINE)
_DRIVER = re.compile(r"/lib(cuda|cudadebugger|nvidia-[\w-]+)\.so[^/]*$")
_LDCONFIG = ("ldconfig", "/sbin/ldconfig")
_DRIVER_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/lib/wsl/lib")  # where managed Kubernetes and WSL put it
_MKL = re.compile(r"libmkl_\w+\.so")  # opens one of its neighbours by name, after the CPU that it finds


def linked(folder: str, programs: Iterable[str]) -> set[str]:
    """Return all libraries that this interpreter and `programs` link, directly or through other libraries.

    `programs` are paths below `folder`. The answer is as if all were loaded into one process: of two libraries of one
    name the first serves all.
    """
    # Relative to the folder, because the loader takes colons and blanks in the list for its ends.
    preload = ":".join(f"./{os.path.relpath(program, folder)}" for program in programs)
    command = [_loader(), "--list", "--preload", preload, sys.executable]
    listing = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    found = {os.path.normpath(path) for path in _FOUND.findall(listing)}
    return found.union(*map(_neighbours, found))


def of_driver(folders: Iterable[str] = ()) -> set[str]:
    """Return the libraries of NVIDIA's driver, whose parts CUDA opens by name.

    They are looked for in the loader's cache and in `folders`, which the cache may lack.
    """
    beside = (str(path) for folder in folders for path in Path(folder).glob("lib*.so*"))
    found = {path for path in (*_cached(), *beside) if _DRIVER.search(path)}
    return found | linked("/", found) if found else set()


def search_path(given: str, known: Iterable[str] = _DRIVER_FOLDERS) -> str:
    """Return the LD_LIBRARY_PATH by which a driver beside the loader's cache is found: as given, and known places."""
    return ":".join(dict.fromkeys((*filter(None, given.split(":")), *(each for each in known if Path(each).is_dir()))))


def _cached() -> list[str]:
    for command in _LDCONFIG:
        with suppress(OSError):
            listing = subprocess.run([command, "-p"], capture_output=True, text=True, check=False).stdout
            return _CACHED.findall(listing)
    return []


def is_program(name: str) -> bool:
    """Return whether a file of this name holds machine code to load."""
    return name.endswith(".so") or ".so." in name


def _loader() -> str:
    """Return the path of this process's dynamic loader."""
    libc = ctypes.CDLL(None)
    libc.getauxval.restype = ctypes.c_ulong
    base = libc.getauxval(ctypes.c_ulong(_AT_BASE))
    lines = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines())
    return next(parts[5] for parts in lines if int(parts[0].partition("-")[0], 16) == base)


def _neighbours(library: str) -> Iterator[str]:
    if _MKL.match(Path(library).name):
        yield from map(str, Path(library).parent.glob("libmkl_*.so*"))
