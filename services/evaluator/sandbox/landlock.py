"""Landlock: files that the child may reach (landlock(7)); three system calls, no package."""

import ctypes
import errno
import os
import struct

from services.evaluator.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 10, 1 << 11
READ = _READ_FILE | _READ_DIR
NAMES = _READ_DIR
WRITE_FILE = _READ_FILE | _WRITE_FILE
DEVICE = WRITE_FILE | READ | 1 << 15  # with ioctl(2), from version 5
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NETWORK = 3  # bind and connect over TCP, from version 4
_SCOPES = 3  # abstract sockets and signals to the outside, from version 6
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15


def abi() -> int:
    """Return the kernel's Landlock version; 0 where there is none."""
    try:
        return kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_FLAG))
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def change(version: int) -> int:
    """Return the rights to change everything below a directory, except to make devices, sockets and pipes."""
    return _files(version) & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _MAKE_FIFO)


def confine(version: int, rules: dict[str, int]) -> None:
    """Allow `rules` (path to rights) and nothing else, for good; no_new_privs must be set."""
    handled = _files(version)
    attributes = struct.pack("QQQ", handled, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = kernel.syscall(_CREATE_RULESET, attributes[:size], ctypes.c_size_t(size), ctypes.c_uint(0))
    try:
        for path, rights in rules.items():
            _allow(ruleset, path, rights & handled)
        kernel.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - no pathlib in the child
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, fd)
        kernel.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(fd)


def _files(version: int) -> int:
    return _FILES_BY_ABI[max(known for known in _FILES_BY_ABI if known <= version)]
