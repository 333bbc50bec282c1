"""seccomp: a process gives up the system calls that reach the network, other processes and others' files.

The filter is a program for the kernel's packet filter (Documentation/userspace-api/seccomp_filter.rst). It
lists what is refused, not what is allowed: numeric libraries and graphics drivers use more calls than could
be listed, and need none of those refused here. A refused call fails with EPERM.
"""

import ctypes
import errno
import platform
import struct
from typing import Final

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_FLAG_TSYNC: Final = 1
"""For the threads that are there already, too."""

_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_KILL_PROCESS: Final = 0x80000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in ``struct seccomp_data``; of an argument, its low half on a little-endian machine."""
_HIGH_HALF: Final = 4

_CLONE_THREAD: Final = 0x10000
_X32: Final = 0x40000000
"""From here on numbers are those of another table of calls (x86-64)."""
_SOCK_STREAM, _SOCK_TYPE = 1, 0xF

_AUDIT: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_CALLS: Final[dict[str, tuple[int, int]]] = {
    # Other programs and processes.
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    # What processes share by numbers and names: it can be used, and deleted, without having been opened.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # Files by their path, where Landlock asks nobody: whose they are, who may use them, what befalls them.
    "truncate": (76, 45),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    # The kernel: larger surfaces than the work needs.
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    # Namespaces and mounts.
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_by_handle_at": (304, 265),
    # The network.
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
}
"""Refused whatever their arguments: number on x86-64, number on 64-bit Arm."""

_OF_X86_64_ONLY: Final = (57, 58, 90, 92, 94, 132, 235, 261, 253, 154)
"""fork, vfork, chmod, chown, lchown, utime, utimes, futimesat, inotify_init, modify_ldt: old or its own."""

_OF_ITSELF: Final[dict[str, tuple[int, int]]] = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}
"""Allowed for the thread that calls, whose number is 0 then: number on x86-64, number on 64-bit Arm."""

_FCNTL, _IOCTL, _PRCTL = (72, 25), (16, 29), (157, 167)
_SIGNALS: Final = (8, 10, 15)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: have the kernel signal another process."""
_OF_TERMINALS: Final = (0x5412, 0x541C, 0x8901, 0x8902)
"""TIOCSTI, TIOCLINUX: type on the terminal of whoever started the service. FIOSETOWN, SIOCSPGRP: signals."""
_PR_SET_PDEATHSIG: Final = 1
_UTIMENSAT: Final = (280, 88)

_CLONE: Final = (56, 220)
_CLONE3: Final = (435, 435)
_KILL: Final = (62, 129)
_TGKILL: Final = (234, 131)
_SOCKETPAIR: Final = (53, 199)
_SECCOMP: Final = (317, 277)

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def is_available() -> bool:
    """Return whether this kernel filters system calls, on an architecture whose calls are known here."""
    if platform.machine() not in _AUDIT:
        return False
    action = ctypes.byref(ctypes.c_uint32(_ERRNO))
    return bool(_libc.syscall(_number(_SECCOMP), _GET_ACTION_AVAIL, 0, action) == 0)


def restrict(pid: int) -> bool:
    """Give up those calls in all threads of this process, whose number is ``pid``; it may signal itself.

    ``no_new_privs`` must be set. Returns False, and restricts nothing, where the kernel has no seccomp.
    """
    if not is_available():
        return False
    code = _assemble(pid)
    program = _Program(len(code) // 8, code)
    return bool(_libc.syscall(_number(_SECCOMP), _SET_MODE_FILTER, _FLAG_TSYNC, ctypes.byref(program)) == 0)


def _number(call: tuple[int, int]) -> int:
    return call[platform.machine() == "aarch64"]


def _assemble(pid: int) -> bytes:
    """Return the filter: one small block for each call, each ending with an answer or going on."""
    machine = platform.machine()
    refused = [_number(call) for call in _CALLS.values()]
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _AUDIT[machine], 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        refused += _OF_X86_64_ONLY
        code += [_step(_AT_LEAST, _X32, 0, 1), _refusal(errno.EPERM)]
    for number in refused:
        code += [_step(_EQUAL, number, 0, 1), _refusal(errno.EPERM)]
    # A thread is a clone; of clone3, whose arguments no filter can see, glibc is told that there is none.
    code += [_step(_EQUAL, _number(_CLONE3), 0, 1), _refusal(errno.ENOSYS)]
    code += _unless(_number(_CLONE), _FIRST_ARGUMENT, _step(_ANY_BIT, _CLONE_THREAD, 1, 0))
    for call in (_KILL, _TGKILL):
        code += _unless(_number(call), _FIRST_ARGUMENT, _step(_EQUAL, pid, 1, 0))
    for call in _OF_ITSELF.values():
        code += _unless(_number(call), _FIRST_ARGUMENT, _step(_EQUAL, 0, 1, 0))
    code += _if_any(_number(_FCNTL), _SECOND_ARGUMENT, _SIGNALS)
    code += _if_any(_number(_IOCTL), _SECOND_ARGUMENT, _OF_TERMINALS)
    code += _if_any(_number(_PRCTL), _FIRST_ARGUMENT, (_PR_SET_PDEATHSIG,))
    # The times of an open file, which has no path: so avatars are noted as used.
    no_path = _step(_EQUAL, 0, 0, 2), _step(_LOAD, _SECOND_ARGUMENT + _HIGH_HALF), _step(_EQUAL, 0, 1, 0)
    code += _unless(_number(_UTIMENSAT), _SECOND_ARGUMENT, *no_path)
    # A pair of streams reaches nobody: event loops wake themselves up with it.
    masked = _step(_AND, _SOCK_TYPE), _step(_EQUAL, _SOCK_STREAM, 1, 0)
    code += _unless(_number(_SOCKETPAIR), _SECOND_ARGUMENT, *masked)
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _unless(number: int, argument: int, *test: bytes) -> list[bytes]:
    """Refuse a call unless the last step of ``test`` jumps over one step for its argument."""
    allowed_or_refused = [_refusal(errno.EPERM), _step(_RETURN, _ALLOW)]
    body = [_step(_LOAD, argument), *test, *allowed_or_refused]
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _if_any(number: int, argument: int, values: tuple[int, ...]) -> list[bytes]:
    """Refuse a call if its argument is one of these values."""
    body = [_step(_LOAD, argument)]
    for value in values:
        body += [_step(_EQUAL, value, 0, 1), _refusal(errno.EPERM)]
    body.append(_step(_RETURN, _ALLOW))
    return [_step(_EQUAL, number, 0, len(body)), *body]


def _refusal(number: int) -> bytes:
    return _step(_RETURN, _ERRNO | number)


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, if_true, if_false, value)
