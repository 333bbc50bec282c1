"""The sandbox: what a process gives up before it opens untrusted media.

A decoder that a file has taken over can do whatever its process may do. So the process first gives up
everything it does not need: other folders (Landlock), sockets, programs and other processes (seccomp),
privileges, and unlimited memory. None of it can be taken back. If the kernel lacks one mechanism, the
others still apply, and ``mouthpiece doctor`` and ``/v1/info`` report it.
"""

from app.sandbox.environment import without_secrets
from app.sandbox.memory import cap_memory, give_back_memory, sparing
from app.sandbox.paths import Sandbox, keep_temporary_files_in
from app.sandbox.protection import Protection, enter, lock_files, protection

__all__ = [
    "Protection",
    "Sandbox",
    "cap_memory",
    "enter",
    "give_back_memory",
    "keep_temporary_files_in",
    "lock_files",
    "protection",
    "sparing",
    "without_secrets",
]
