"""The console script: sends `holdfast probe` on its short way before anything heavy is imported."""

import importlib
import sys

from holdfast import __version__
from holdfast.cli import probe

_INTERRUPTED = 130


def main() -> int:
    """Run the command line and return the exit code.

    Everything but `probe` loads the whole command line, about half a second with Celery. It is
    imported by name, here and not above, because a probe has 50 ms for everything.
    """
    if sys.argv[1:2] == ["probe"]:
        return probe.main(sys.argv[2:])
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"holdfast {__version__}\n")
        return 0
    try:
        return int(importlib.import_module("holdfast.cli.main").main() or 0)
    except KeyboardInterrupt:
        # Ctrl-C while it was still loading.
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
