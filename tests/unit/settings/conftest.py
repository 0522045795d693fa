"""No test of settings sees the environment of who runs it."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of ours or of Celery's."""
    for name in list(os.environ):
        if name.upper().startswith(("HOLDFAST_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("holdfast.settings.layers.USUAL_SECRETS_DIR", tmp_path / "no-secrets")
    return tmp_path
