"""What the filter of system calls answers, on both architectures: its program is run here, step by step.

The numbers are those of the kernel's tables: arch/x86/entry/syscalls/syscall_64.tbl, and
include/uapi/asm-generic/unistd.h for 64-bit Arm.
"""

import platform
import struct
from collections.abc import Callable

import pytest

from app.sandbox import seccomp

PID = 4711
ALLOWED, REFUSED, UNKNOWN, KILLED = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386, ARM32 = 0x40000003, 0x40000028

Ask = Callable[..., int]
"""Returns the answer to a call: its number, its arguments."""


def run(program: bytes, data: bytes) -> int:
    """Return what a program of the packet filter makes of ``struct seccomp_data``."""
    steps = list(struct.iter_unpack("=HBBI", program))
    place, register = 0, 0
    while True:
        operation, if_true, if_false, value = steps[place]
        place += 1
        match operation:
            case 0x20:
                (register,) = struct.unpack_from("<I", data, value)
            case 0x54:
                register &= value
            case 0x06:
                return int(value)
            case 0x15:
                place += if_true if register == value else if_false
            case 0x35:
                place += if_true if register >= value else if_false
            case 0x45:
                place += if_true if register & value else if_false
            case _:
                raise AssertionError(f"no such operation: {operation:#x}")


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the filter be made for this architecture."""
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return str(request.param)


@pytest.fixture
def ask(machine: str) -> Ask:
    program = seccomp._assemble(PID)
    assert len(program) // 8 <= 4096, "the kernel takes no more steps"

    def answer(number: int, *arguments: int, architecture: int = ARCHITECTURES[machine]) -> int:
        given = [argument % (1 << 64) for argument in (*arguments, *[0] * 6)][:6]
        return run(program, struct.pack("<IIQ6Q", number, architecture, 0, *given))

    return answer


def number(machine: str, on_x86_64: int, on_arm: int) -> int:
    return on_arm if machine == "aarch64" else on_x86_64


WORK = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "openat": (257, 56),
    "renameat2": (316, 276),
    "unlinkat": (263, 35),
    "mkdirat": (258, 34),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "fsync": (74, 82),
    "preadv": (295, 69),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "pipe2": (293, 59),
    "ppoll": (271, 73),
    "epoll_pwait": (281, 22),
    "getdents64": (217, 61),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "getrandom": (318, 278),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "mbind": (237, 235),
    "rseq": (334, 293),
}
"""Calls without which Python, FFmpeg, or a driver of graphics cards cannot work."""


@pytest.mark.parametrize("name", WORK)
def test_what_the_work_needs_is_allowed(ask: Ask, machine: str, name: str) -> None:
    assert ask(number(machine, *WORK[name])) == ALLOWED


REACHING_OUT = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "setpriority": (141, 140),
    "socket": (41, 198),
    "connect": (42, 203),
    "accept4": (288, 242),
    "truncate": (76, 45),
    "fchmodat": (268, 53),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "shmctl": (31, 195),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgctl": (71, 187),
    "mq_unlink": (241, 181),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "mount": (165, 40),
    "unshare": (272, 97),
    "open_by_handle_at": (304, 265),
}


@pytest.mark.parametrize("name", REACHING_OUT)
def test_what_reaches_others_is_refused(ask: Ask, machine: str, name: str) -> None:
    assert ask(number(machine, *REACHING_OUT[name])) == REFUSED


def test_a_thread_may_be_started_and_no_process(ask: Ask, machine: str) -> None:
    clone, thread, child = number(machine, 56, 220), 0x3D0F00, 0x1200011
    assert ask(clone, thread) == ALLOWED
    assert ask(clone, child) == REFUSED
    assert ask(435, thread) == UNKNOWN


def test_a_process_may_signal_limit_and_schedule_itself_alone(ask: Ask, machine: str) -> None:
    kill, tgkill, prlimit = (number(machine, *n) for n in ((62, 129), (234, 131), (302, 261)))
    set_affinity = number(machine, 203, 122)
    assert [ask(call, PID, 6) for call in (kill, tgkill)] == [ALLOWED] * 2
    assert [ask(call, PID - 1, 6) for call in (kill, tgkill)] == [REFUSED] * 2
    assert ask(kill, -1, 9) == REFUSED
    assert [ask(call, 0) for call in (prlimit, set_affinity)] == [ALLOWED] * 2
    assert [ask(call, 1) for call in (prlimit, set_affinity)] == [REFUSED] * 2


def test_controls_are_allowed_but_those_that_reach_others(ask: Ask, machine: str) -> None:
    control, ioctl, prctl = (number(machine, *n) for n in ((72, 25), (16, 29), (157, 167)))
    assert [ask(control, 3, command) for command in (1, 2, 1030)] == [ALLOWED] * 3
    assert [ask(control, 3, command) for command in (8, 10, 15)] == [REFUSED] * 3
    graphics_card = 0xC020462A
    assert [ask(ioctl, 3, command) for command in (0x5401, 0x5413, graphics_card)] == [ALLOWED] * 3
    assert [ask(ioctl, 3, command) for command in (0x5412, 0x541C, 0x8901, 0x8902)] == [REFUSED] * 4
    assert ask(prctl, 15) == ALLOWED
    assert ask(prctl, 1) == REFUSED


def test_the_times_of_open_files_may_be_set_and_not_those_of_a_path(ask: Ask, machine: str) -> None:
    call = number(machine, 280, 88)
    assert ask(call, 3, 0) == ALLOWED
    assert [ask(call, -100, path) for path in (0x1000, 0x7F00_0000_0000)] == [REFUSED] * 2


def test_pairs_are_of_streams(ask: Ask, machine: str) -> None:
    call, close_on_exec = number(machine, 53, 199), 0o2000000
    assert [ask(call, 1, kind) for kind in (1, 1 | close_on_exec)] == [ALLOWED] * 2
    assert [ask(call, 1, kind) for kind in (2, 2 | close_on_exec)] == [REFUSED] * 2


def test_calls_of_another_table_end_the_process_or_are_refused(ask: Ask, machine: str) -> None:
    other = ARM32 if machine == "aarch64" else I386
    assert ask(0, architecture=other) == KILLED
    assert ask(0x40000000) == (ALLOWED if machine == "aarch64" else REFUSED)
