"""docs/monitoring.md names every metric and no other."""

import re

from holdfast.monitoring.levels import Levels
from holdfast.monitoring.metrics import Metrics
from holdfast.tests.support.repository import ROOT


def test_every_metric_is_documented():
    """The table of metrics and the code agree on every name."""
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(holdfast_\w+)`", text))
    made = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Metrics(lambda: Levels(1, 0)).registry.collect()
    }
    assert made == documented
