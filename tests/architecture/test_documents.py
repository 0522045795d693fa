"""What the documents name is there: files, links, commands, settings, errors."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from holdfast.cli import errors as cli_errors
from holdfast.cli import probe
from holdfast.cli.main import app
from holdfast.jobs import errors
from holdfast.jobs.state import QuarantineReason
from holdfast.resilience import faults
from holdfast.settings import Settings, examine
from holdfast.settings.model import variable_of
from holdfast.tests.support import documents
from holdfast.tests.support.repository import ROOT, files

DOCUMENTS = documents.documents()
ERRORS = ROOT / "docs" / "errors.md"
GUIDE = ROOT / "docs" / "guide.md"
COMMANDS = get_command(app).commands
PASSING_ON = {"worker", "flower"}
"""Commands whose further options are Celery's and Flower's."""
READERS_FILES = {
    "shop.py", "mytasks.py", "tasks.py", "settings.py", "workers.py", "report.md", "digest-report.md",
    "flowerconfig.py", "benchmarks/bench_NAME.py",
}  # fmt: skip
"""Files that a document means, and that stand in the reader's project."""
OUR_OWN_VARIABLES = {"HOLDFAST_REQUIRE_ALL"}
"""Variables that are no settings of the platform."""
_FILE = re.compile(r"[\w./-]+\.(?:py|md|toml|lock|yaml|yml|cfg)\Z")
_VARIABLE = re.compile(r"\bHOLDFAST_[A-Z][A-Z_]*[A-Z]\b(?!\*)")
_SHELL = {"sh", "bash", "shell", ""}
_PROBE_OPTIONS = set(re.findall(r"--[a-z]+", probe.USAGE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path):
    """A link to a file or a heading of ours finds it."""
    for path, anchor in documents.links(document):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        if anchor:
            assert anchor in documents.anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(document: Path):
    """`tasks/client.py` in a text is a file, seen from the root or from the document's folder."""
    names = {path.name for path in files()}
    missing = []
    for span in documents.spans(document):
        if not _FILE.match(span) or span in READERS_FILES:
            continue
        is_there = span in names if "/" not in span else (ROOT / span).exists()
        if not is_there and not (document.parent / span).exists():
            missing.append(span)
    assert [] == missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_that_is_named_exists(document: Path):
    """`holdfast COMMAND --option` in a text or a block is one that `--help` shows."""
    for line in _command_lines(document):
        assert [] == _unknown_words(line), line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document: Path):
    """`make run` in a text is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for span in documents.spans(document):
        if match := re.match(r"make ([a-z][a-z-]*)", span):
            assert match[1] in targets, span


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(document: Path):
    """`HOLDFAST_...` in a document is a variable that the settings read."""
    known = {variable_of(name) for name in Settings.model_fields} | OUR_OWN_VARIABLES
    named = set(_VARIABLE.findall(document.read_text(encoding="utf-8")))
    assert set() == named - known


def test_the_guides_production_settings_are_accepted_in_production(monkeypatch, tmp_path):
    """Its variables and the two password files make settings without a finding."""
    (shown,) = (one.code for one in documents.snippets(GUIDE) if "HOLDFAST_ENV=production" in one.code)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("HOLDFAST_DATABASE_PASSWORD", "HOLDFAST_BROKER_PASSWORD"):
        (secrets / name).write_text("from a file", encoding="utf-8")
    for line in shown.replace("/etc/ssl", str(tmp_path)).splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    for name in ("db.pem", "redis.pem"):
        (tmp_path / name).touch()
    monkeypatch.setenv("HOLDFAST_SECRETS_DIR", str(secrets))
    (tmp_path / "env").touch()
    monkeypatch.setenv("HOLDFAST_ENV_FILE", str(tmp_path / "env"))
    examination = examine()
    assert ((), ()) == (tuple(examination.report.errors), tuple(examination.report.warnings))
    assert "from a file" == examination.settings.broker_password.get_secret_value()


def test_the_page_of_errors_is_the_codes():
    """Each error class stands there once, with its code, and nothing else does."""
    shown = re.findall(
        r"^\| `([a-z_]+)` \| `([A-Za-z]+)` \|", ERRORS.read_text(encoding="utf-8"), re.MULTILINE
    )
    real = {
        (kind.code, name)
        for module in (errors, cli_errors)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, errors.PlatformError)
    }
    assert sorted(real) == sorted(shown)
    assert len(real) == len({code for code, _ in real})


def test_the_page_of_errors_has_every_reason_of_the_quarantine():
    """Whoever finds a reason on a job finds what it means."""
    shown = re.findall(r"^\| `([a-z_]+)` \| [A-Z]", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(reason.value for reason in QuarantineReason) == sorted(shown)


@pytest.mark.parametrize(
    ("kind", "classes"),
    [("transient", faults._TRANSIENT), ("permanent", faults._PERMANENT)],  # noqa: SLF001  the lists themselves
)
def test_the_guide_names_what_is_retried(kind, classes):
    """Its table of exceptions is the classifier's."""
    row = next(
        line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {kind} |")
    )
    assert sorted(one.__name__ for one in classes) == sorted(re.findall(r"`([A-Z]\w+)`", row))


def _command_lines(document: Path) -> Iterator[str]:
    for span in documents.spans(document):
        if match := re.search(r"(?:^|[=\w/] |bin/)holdfast (?P<rest>.*)", span):
            yield match["rest"]
    for block in documents.snippets(document):
        if block.language in _SHELL:
            for line in block.code.splitlines():
                if match := re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:\S*/)?holdfast (?P<rest>[a-z-].*)", line):
                    yield match["rest"]


def _unknown_words(line: str) -> list[str]:
    """Give the command, or the options, that the command line does not know."""
    words = shlex.split(line, comments=True)
    name, *rest = [word for word in words if word != "--debug"] or [""]
    if name.isupper() or name in {"...", "X"}:
        return []
    if name.startswith("-"):
        return [] if name in {"--help", "--version", "-h"} else [name]
    command = COMMANDS.get(name)
    if command is None:
        return [name]
    if name in PASSING_ON:
        return []
    if rest and hasattr(command, "commands"):
        command = command.commands.get(rest[0])
        if command is None:
            return [] if "|" in rest[0] else [f"{name} {rest[0]}"]
    known = {option for parameter in command.params for option in (*parameter.opts, "--help", "-h")}
    options = {word.strip("[]").partition("=")[0] for word in rest if word.strip("[").startswith("-")}
    return sorted(options - (_PROBE_OPTIONS if name == "probe" else known))
