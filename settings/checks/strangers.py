"""Variables that look like ours and are not, and variables of Celery's that outrank ours."""

from collections.abc import Iterator
from typing import Final

from holdfast.settings.model import BOOTSTRAP, PREFIX, Settings, variable_of
from holdfast.settings.provenance import Stranger
from holdfast.settings.report import Finding

OUTRANKING: Final = {
    "CELERY_BROKER_READ_URL": "HOLDFAST_BROKER_URL",
    "CELERY_BROKER_WRITE_URL": "HOLDFAST_BROKER_URL",
    "CELERY_RESULT_BACKEND": None,
}
"""Celery asks these variables before any configuration, so they would bypass our settings."""


def stranger_errors(settings: Settings) -> Iterator[Finding]:
    """Find variables of Celery's that would bypass our settings."""
    for stranger in settings.strangers:
        if stranger.variable in OUTRANKING:
            ours = OUTRANKING[stranger.variable]
            use = f" and set {ours}" if ours else ": results are in the ledger"
            yield Finding(stranger.variable, "Celery prefers it to our settings", f"Unset it{use}.")


def stranger_warnings(settings: Settings) -> Iterator[Finding]:
    """Find variables with our prefix that no setting answers to."""
    for stranger in settings.strangers:
        if stranger.variable.upper().startswith(PREFIX):
            yield _unknown(stranger)


def _unknown(stranger: Stranger) -> Finding:
    if stranger.variable.upper() in map(variable_of, BOOTSTRAP):
        problem = f"has no effect in {stranger.source}: it says where the settings are"
        return Finding(stranger.variable, problem, "Set it in the environment.")
    remedy = f"Did you mean {stranger.nearest}?" if stranger.nearest else "Take it away."
    return Finding(stranger.variable, f"there is no such setting (from {stranger.source})", remedy)
