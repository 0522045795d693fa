"""A wall clock that is wrong: really shifted, for whole processes (see `shifted_clock.c`)."""

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("shifted_clock.c")


def compiler() -> str | None:
    """Find what compiles the shifted clock; None where there is none."""
    return shutil.which("cc") or shutil.which("gcc")


class ShiftedClock:
    """The wall clock of one worker, to be set and set again."""

    def __init__(self, folder: Path) -> None:
        self._library, self._shift = folder / "shifted_clock.so", folder / "shift"
        self.set(0)
        subprocess.run(
            [str(compiler()), "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"],
            check=True,
        )

    @property
    def variables(self) -> dict[str, str]:
        """What makes a process see it."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._shift)}

    def set(self, seconds: int) -> None:
        """Shift it by so much; written in place, since it is mapped."""
        with self._shift.open("r+b" if self._shift.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
