"""Entering the sandbox, and which parts of it this kernel supports."""

import ctypes
import os
import resource
from dataclasses import dataclass
from typing import Final

from app.sandbox import landlock, seccomp
from app.sandbox.paths import Sandbox

_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITY_VERSION: Final = 0x20080522
_KEPT_CAPABILITIES: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3
"""CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER: what root needs to work on files of another owner."""


@dataclass(frozen=True)
class Protection:
    """Which walls stand: folders (Landlock), system calls (seccomp)."""

    files: bool
    system_calls: bool

    @property
    def missing(self) -> str:
        """What this kernel lacks, as words; empty if nothing."""
        lacks = {"Landlock": self.files, "seccomp": self.system_calls}
        return " and ".join(name for name, there in lacks.items() if not there)


def protection() -> Protection:
    """Return what this kernel has, and changes nothing."""
    return Protection(files=landlock.version() > 0, system_calls=seccomp.is_available())


def enter(sandbox: Sandbox) -> Protection:
    """Lock this process, and all threads and processes that it starts, into ``sandbox``, for good.

    Call it before any other thread is there: the wall around the folders stands for those that are started
    later. Returns what stands; a part that the kernel lacks, or forbids, is left out.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not _give_up_privileges():
        return Protection(files=False, system_calls=False)
    return Protection(
        files=landlock.restrict(sandbox.read, sandbox.write),
        system_calls=seccomp.restrict(os.getpid()),
    )


def lock_files(sandbox: Sandbox) -> bool:
    """Keep this process to the files of ``sandbox``, for good; say whether that holds.

    It may still start other processes, which are kept to them as well.
    """
    return _give_up_privileges() and landlock.restrict(sandbox.read, sandbox.write)


def _give_up_privileges() -> bool:
    """Give up what root may beyond files, and every way to more; say whether the latter worked."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()
    if libc.capget(header, held) == 0:
        effective, permitted = held[0] & _KEPT_CAPABILITIES, held[1] & _KEPT_CAPABILITIES
        libc.capset(header, (ctypes.c_uint32 * 6)(effective, permitted, 0, 0, 0, 0))
    return bool(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
