"""The locked room: what a process gives up before it opens strangers' media.

A decoder that a file has taken over can do what its process may do. So the process first gives up whatever
the work does not need: other folders (Landlock), sockets, programs and other processes (seccomp), privileges,
and memory without bound. Nothing of it can be taken back. Where the kernel lacks a part, the others hold, and
``mouthpiece doctor`` and ``/v1/info`` say so.
"""

from app.room.environment import without_secrets
from app.room.memory import cap_memory
from app.room.paths import Room
from app.room.protection import Protection, enter, lock_files, protection

__all__ = ["Protection", "Room", "cap_memory", "enter", "lock_files", "protection", "without_secrets"]
