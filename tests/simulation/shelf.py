"""The disks of the simulated machines, as far as the spool uses them: files, and whose they are."""

from dataclasses import dataclass, field

from holdfast.tests.simulation.fibers import Kernel, Process


@dataclass(eq=False)
class Paper:
    """A file that its process holds until it lets it go, or is gone."""

    shelf: "dict[str, Paper]"
    name: str
    holder: Process | None
    content: bytearray = field(default_factory=bytearray)

    @property
    def is_free(self) -> bool:
        """Whether nobody that lives holds it."""
        return self.holder is None or not self.holder.is_alive

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self.content += data

    def truncate(self, size: int) -> None:
        """Forget the rest."""
        del self.content[size:]

    def read(self) -> bytes:
        """Read all of it."""
        return bytes(self.content)

    def remove(self) -> None:
        """Delete it."""
        self.shelf.pop(self.name, None)
        self.holder = None

    def put_aside(self) -> None:
        """Keep it from being found again."""
        self.remove()

    def release(self) -> None:
        """Let it go."""
        self.holder = None


class Shelf:
    """The folder of the machine on which the running process is."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._machines: dict[str, dict[str, Paper]] = {}

    def create(self, name: str, head: bytes) -> Paper:
        """Begin a file."""
        process = self._kernel.here().process
        shelf = self._here()
        shelf[name] = paper = Paper(shelf, name, process)
        paper.append(head)
        return paper

    def names(self, prefix: str) -> list[str]:
        """Name the files that are not the process's."""
        process = self._kernel.here().process
        return [
            n for n, paper in self._here().items() if n.startswith(prefix) and paper.holder is not process
        ]

    def take(self, name: str) -> Paper | None:
        """Hold a file that nobody holds."""
        paper = self._here().get(name)
        if paper is None or not paper.is_free:
            return None
        paper.holder = self._kernel.here().process
        return paper

    def _here(self) -> dict[str, Paper]:
        return self._machines.setdefault(self._kernel.here().process.machine, {})
