"""What a crashing interpreter writes last: to a file without a name, which its parent reads afterwards."""

import os
import tempfile
from typing import Final

LONGEST_BYTES: Final = 64_000


class LastWords:
    """A file that a process inherits, for `faulthandler`; read when that process is dead."""

    def __init__(self) -> None:
        """Make the file: in memory where the system can, so that a full disk silences nobody."""
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("holdfast-last-words")
        else:
            descriptor, path = tempfile.mkstemp(prefix="holdfast-")
            os.unlink(path)  # noqa: PTH108 -- the name is not needed, the open file is
            self.descriptor = descriptor

    def read(self) -> str:
        """Return what was written, the end of it if it is long."""
        size = os.fstat(self.descriptor).st_size
        data = os.pread(self.descriptor, LONGEST_BYTES, max(0, size - LONGEST_BYTES))
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        """Let the file go."""
        os.close(self.descriptor)
