"""Landlock: a process may read and write only below the folders that it names.

The kernel's interface (Documentation/userspace-api/landlock.rst) has three system calls, with the same
numbers on every architecture. Newer versions add rights, which an older kernel must not be asked for.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH: Final = 1
_CREATE_RULESET_VERSION: Final = 1
_RESTRICT_SELF_TSYNC: Final = 1 << 3
"""Since version 8: for the threads that are there already, too."""

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_FIRST_RIGHTS: Final = (1 << 13) - 1
"""Of version 1: execute, write, read, list, remove and make files of every kind."""
_REFER: Final = 1 << 13
_MAKE: Final = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8
"""Remove folders and files, make folders and regular files."""
_OF_A_FILE: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE
_SCOPES: Final = 1 << 0 | 1 << 1
"""Abstract Unix sockets of others, and signals to others (version 6)."""


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32)]


_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of Landlock that this kernel has; 0 if none, or if it is switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)))


def restrict(read: Iterable[Path], write: Iterable[Path]) -> bool:
    """Allow this thread, and those that it starts, to read and write below these paths only.

    ``write`` includes reading. Paths that do not exist are left out; so is the right to run programs.
    Returns False, and restricts nothing, where the kernel has no Landlock.
    """
    known = version()
    if not known:
        return False
    handled = _FIRST_RIGHTS | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    attributes = (ctypes.c_uint64 * 3)(handled, 0, _SCOPES)
    size = 24 if known >= 6 else 8
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for path in read:
            _allow(ruleset, path, handled & (_READ_FILE | _READ_DIR))
        for path in write:
            _allow(ruleset, path, handled & (_READ_DIR | _MAKE | _REFER | _OF_A_FILE))
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, _RESTRICT_SELF_TSYNC if known >= 8 else 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _Rule(rights if path.is_dir() else rights & _OF_A_FILE, descriptor)
        _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
