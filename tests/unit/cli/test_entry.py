"""The console script keeps probes light."""

import subprocess
import sys

HEAVY = {
    "celery",
    "kombu",
    "typer",
    "click",
    "pydantic",
    "sqlalchemy",
    "structlog",
    "rich",
    "asyncio",
    "typing",
}
LOADED = """
import sys
from holdfast.cli.entry import main
sys.argv = ["holdfast", "probe", "live", "--port", "1"]
code = main()
print(code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_probe_imports_nothing_heavy():
    """A probe loads a few modules of the standard library and nothing else."""
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    code, *modules = done.stdout.split()
    assert "2" == code
    assert set() == HEAVY & set(modules)
