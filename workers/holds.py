"""Why a worker claims nothing, though it has room."""

from collections.abc import Callable


class Holds:
    """Each hold by itself keeps the gate from claiming. On the event loop."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        """Nothing holds; `on_change` is called when that may have changed."""
        self._on_change = on_change
        self.remnants = 0
        """Handlers that outlived their hard limit, and still run (B17)."""
        self.is_spent = False
        """Too many threads work for jobs that are not ours any more (B17)."""
        self.is_short = False
        """Something that jobs need is short."""
        self.starved = 0
        """Attempts that found something short, since the start."""

    @property
    def are_any(self) -> bool:
        """Tell whether nothing may be claimed."""
        return bool(self.remnants) or self.is_spent or self.is_short

    def set_spent(self, *, is_spent: bool) -> None:
        """Hold, or let go, for abandoned threads."""
        self.is_spent = is_spent
        self._on_change()

    def set_short(self, *, is_short: bool) -> None:
        """Hold, or let go, for what is short."""
        self.is_short = is_short
        self._on_change()

    def starve(self) -> None:
        """Note that an attempt found something short: hold until the fitness watch has looked."""
        self.starved += 1
        self.set_short(is_short=True)
