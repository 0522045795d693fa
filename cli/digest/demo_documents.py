"""The documents of the demo: the project's own, and the READMEs of what is installed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import holdfast
from holdfast.cli.supervisor.lock import unusable
from holdfast.tasks.agents.digest import installed_readmes

_PROJECT: Final = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def gather(folder: Path) -> Path:
    """Write them into a folder of ours, and take away what is no longer among them; return the folder."""
    wanted = dict(_documents())
    try:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
                path.unlink()
        for name, content in wanted.items():
            _write(folder / name, content)
    except OSError as error:
        raise unusable(folder, error) from error
    return folder


def _documents() -> Iterator[tuple[str, bytes]]:
    root = Path(holdfast.__file__).parent
    # A wheel brings no documents; a checkout does.
    for path in [*(root / name for name in _PROJECT), *sorted((root / "docs").rglob("*.md"))]:
        if path.is_file():
            yield f"holdfast/{path.relative_to(root).as_posix()}", path.read_bytes()
    for readme in installed_readmes():
        yield f"installed/{readme.name}", readme.text.encode(errors="replace")


def _write(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
