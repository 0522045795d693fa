"""The states stand in three places that must agree."""

import re

from holdfast.jobs.state import FINAL_STATES, INITIAL_STATES, TRANSITIONS, JobState
from holdfast.tests.support.repository import ROOT

ARROW = re.compile(r"^\s+(\w+|\[\*\]) --> (\w+|\[\*\])(?:: (\w+))?$", re.MULTILINE)


def test_the_chart_in_the_documentation_is_the_table_in_the_code():
    """Whoever reads ARCHITECTURE.md sees exactly the transitions that the code allows."""
    chart = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    arrows = ARROW.findall(chart)
    drawn = {(verb, source, target) for source, target, verb in arrows if source != "[*]" and target != "[*]"}
    table = {
        (move.value, source.value, target.value)
        for move, pairs in TRANSITIONS.items()
        for source, target in pairs
    }
    assert table == drawn
    assert {state.value for state in INITIAL_STATES} == {t for s, t, _ in arrows if s == "[*]"}
    # Quarantined is final until an operator requeues, so it has a way out instead of an end.
    assert {state.value for state in FINAL_STATES - {JobState.QUARANTINED}} == {
        s for s, t, _ in arrows if t == "[*]"
    }
