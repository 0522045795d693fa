"""The page of events is true."""

from holdfast.monitoring.events_page import page
from holdfast.tests.support.repository import ROOT


def test_page_says_what_the_code_says():
    """docs/events.md is what the events would write today."""
    written = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert page() == written, "run: python -m holdfast.monitoring.events_page > docs/events.md"
