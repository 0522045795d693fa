"""Twelve scenarios that a fleet's breaker has to pass, their tests, and the rules without which those fail.

`python -m holdfast.tests.integration.resilience.scenarios > docs/scenarios.md` writes the table.
"""

import sys
from dataclasses import dataclass
from typing import Final

PROCESSES: Final = "tests/integration/resilience/test_processes.py"
LOST_STORE: Final = "tests/integration/resilience/test_lost_store.py"
CLOCKS: Final = "tests/integration/resilience/test_clocks.py"
PUSHBACK: Final = "tests/integration/resilience/test_pushback.py"
SOAK: Final = "tests/integration/resilience/test_soak.py"
FLEET: Final = "tests/contract/resilience/test_fleet.py"
STORES: Final = "tests/contract/resilience/test_breaker_stores.py"
MACHINE: Final = "tests/unit/resilience/breaker/test_machine.py"
BREAKER: Final = "tests/unit/resilience/breaker/test_breaker.py"
GUARD: Final = "tests/unit/resilience/guard/test_guard.py"
OUTAGE: Final = "tests/unit/resilience/test_outage.py"
DECISION: Final = "tests/unit/resilience/test_decision.py"
RETRY_AFTER: Final = "tests/unit/resilience/test_retry_after.py"
SICK: Final = "tests/integration/workers/test_sick_upstream.py"
SCRIPT: Final = "resilience/breaker/exchange.lua"
JUDGE: Final = "resilience/breaker/machine.py"


@dataclass(frozen=True, slots=True)
class Change:
    """A text that stands once in a file of production, and what stands there instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """Production without one rule, and a test that has to fail then."""

    name: str
    lacks: str
    """What is taken away, as the table says it."""
    test: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, what has to come of it, and where that is shown."""

    says: str
    tests: tuple[str, ...]
    mutants: tuple[Mutant, ...]


def _mutant(name: str, lacks: str, test: str, *changes: tuple[str, str, str]) -> Mutant:
    return Mutant(name, lacks, test, tuple(Change(*change) for change in changes))


SCENARIOS: Final = (
    Scenario(
        "Eight processes of fifty threads wait for an open breaker: one call probes, a thousand times over.",
        (
            f"{PROCESSES}::test_of_four_hundred_threads_one_probes",
            f"{SOAK}::test_a_thousand_times_one_probes",
            f"{STORES}::test_of_many_that_ask_at_once_one_probes",
        ),
        (
            _mutant(
                "all-probe",
                "the probe has one owner",
                f"{PROCESSES}::test_of_four_hundred_threads_one_probes",
                (SCRIPT, "(c.probe_owner == '' or c.probe_until <= now)", "true"),
            ),
        ),
    ),
    Scenario(
        (
            "The prober is killed: the next one comes after its lease. "
            "It is frozen: what it says late is nothing."
        ),
        (
            f"{PROCESSES}::test_a_killed_prober_is_succeeded_after_its_lease",
            f"{PROCESSES}::test_a_frozen_prober_that_wakes_has_no_say",
            f"{MACHINE}::test_a_prober_that_wakes_up_late_has_no_say",
        ),
        (
            _mutant(
                "endless-lease",
                "a prober's lease ends",
                f"{PROCESSES}::test_a_killed_prober_is_succeeded_after_its_lease",
                (SCRIPT, "(c.probe_owner == '' or c.probe_until <= now)", "c.probe_owner == ''"),
            ),
            _mutant(
                "no-renewal",
                "a prober that lives keeps its lease",
                f"{PROCESSES}::test_a_killed_prober_is_succeeded_after_its_lease",
                (SCRIPT, "if m.probe == 'renew' then renew() end", ""),
            ),
            _mutant(
                "anybody-speaks-for-the-probe",
                "only the owner of the probe tells how it went",
                f"{MACHINE}::test_a_prober_that_wakes_up_late_has_no_say",
                (
                    JUDGE,
                    'c.phase is Phase.HALF_OPEN and m.token != "" and c.probe_owner == m.token',
                    'c.phase is Phase.HALF_OPEN and m.token != ""',
                ),
            ),
        ),
    ),
    Scenario(
        (
            "The shared store is refused, silent, slow, killed, frozen, flushed or replaced: no caller waits "
            "for it, each process judges for itself, and the stricter memory counts afterwards."
        ),
        (
            f"{LOST_STORE}::test_no_caller_waits_for_a_store_that_is_away",
            f"{LOST_STORE}::test_what_one_learned_alone_holds_for_all",
            f"{LOST_STORE}::test_a_store_that_forgot_is_told",
            f"{PROCESSES}::test_a_store_that_is_gone_costs_no_caller_anything",
        ),
        (
            _mutant(
                "callers-report",
                "a thread of its own speaks to the store",
                f"{LOST_STORE}::test_no_caller_waits_for_a_store_that_is_away",
                ("resilience/fleet.py", "self.reporter.hurry()", "self.reporter.report_all()"),
            ),
            _mutant(
                "blind-alone",
                "a process without the store judges for itself",
                f"{LOST_STORE}::test_no_caller_waits_for_a_store_that_is_away",
                # Neither by its own memory, by whichever of its rules, nor by its own row of failures.
                ("resilience/breaker/reporter.py", "min(policy.streak, LOCAL.streak)", "10**6"),
                ("resilience/breaker/reporter.py", "min(policy.least_calls, LOCAL.least_calls)", "10**6"),
                ("resilience/breaker/reporter.py", "min(policy.rare_calls, LOCAL.rare_calls)", "10**6"),
                (
                    "resilience/breaker/reporter.py",
                    "watched.streak >= policy.streak and self._shared is not None",
                    "watched.streak >= policy.streak and self._shared is None",
                ),
            ),
            _mutant(
                "no-memory",
                "what a process remembers is told to a store that forgot",
                f"{LOST_STORE}::test_a_store_that_forgot_is_told",
                (
                    "resilience/breaker/reporter.py",
                    "known_open=int(view.open_for(now) * _MILLI)",
                    "known_open=0",
                ),
            ),
        ),
    ),
    Scenario(
        "Wall clocks are an hour ahead or behind, and jump: all wait until the same instant.",
        (f"{CLOCKS}::test_a_wrong_clock_changes_no_open_time",),
        (
            _mutant(
                "wall-clock",
                "times are judged by monotonic clocks",
                f"{CLOCKS}::test_a_wrong_clock_changes_no_open_time",
                ("jobs/clock.py", "return time.monotonic()", "return time.time()"),
            ),
        ),
    ),
    Scenario(
        "Outcomes of an earlier epoch, good or bad, come late: they count nowhere.",
        (
            f"{MACHINE}::test_an_outcome_of_another_epoch_is_not_counted",
            f"{MACHINE}::test_late_outcomes_turn_nothing",
            f"{STORES}::test_script_and_decision_are_twins",
        ),
        (
            _mutant(
                "any-epoch",
                "outcomes count in the epoch in which their calls began",
                f"{MACHINE}::test_an_outcome_of_another_epoch_is_not_counted",
                (JUDGE, "if m.epoch not in {c.epoch, NEWCOMER} or c.phase not in", "if c.phase not in"),
            ),
            _mutant(
                "any-epoch-in-the-script",
                "the same in the store's script",
                f"{STORES}::test_script_and_decision_are_twins",
                (
                    SCRIPT,
                    "if not is_of_now() or (c.phase ~= 'closed' and c.phase ~= 'ramp') then return end",
                    "if c.phase ~= 'closed' and c.phase ~= 'ramp' then return end",
                ),
            ),
        ),
    ),
    Scenario(
        (
            "A call is cancelled, stopped or interrupted: no verdict, the probe goes back, "
            "the very exception is raised."
        ),
        (
            f"{BREAKER}::test_what_is_neutral_counts_nowhere",
            f"{MACHINE}::test_a_cancelled_probe_is_no_verdict",
            f"{GUARD}::test_what_was_stopped_counts_nowhere",
            f"{GUARD}::test_the_very_exception_passes_through",
        ),
        (
            _mutant(
                "cancelled-is-failed",
                "a call that somebody stopped says nothing of its upstream",
                f"{GUARD}::test_what_was_stopped_counts_nowhere",
                (
                    "resilience/verdicts.py",
                    "        return NO_VERDICT\n    judgement",
                    "        return FAILURE\n    judgement",
                ),
            ),
            _mutant(
                "kept-probe",
                "a probe without a verdict goes back",
                f"{MACHINE}::test_a_cancelled_probe_is_no_verdict",
                (JUDGE, "                case ProbeWord.DROPPED:\n                    self._drop()\n", ""),
            ),
        ),
    ),
    Scenario(
        "Calls are slow without an error, or never return: it opens on the age of calls under way.",
        (
            f"{MACHINE}::test_calls_in_flight_that_are_slow_open",
            f"{BREAKER}::test_calls_in_flight_become_slow",
        ),
        (
            _mutant(
                "slow-at-the-end",
                "calls under way are looked at",
                f"{BREAKER}::test_calls_in_flight_become_slow",
                (
                    "resilience/breaker/era.py",
                    "{call for call, began in under_way.items() if now - began > slow_after}",
                    "set[int]()",
                ),
            ),
            _mutant(
                "slow-is-well",
                "slow calls open",
                f"{MACHINE}::test_calls_in_flight_that_are_slow_open",
                (JUDGE, 'return "slow"', 'return ""'),
            ),
        ),
    ),
    Scenario(
        (
            "Half of the calls fail: open; 49 of a hundred: not. Nineteen failures in a row: not; "
            "twenty: open. "
            "One bad process of several does not open the fleet."
        ),
        (
            f"{MACHINE}::test_a_share_of_failures_opens",
            f"{MACHINE}::test_a_streak_opens_at_its_last_failure",
            f"{MACHINE}::test_one_bad_process_does_not_open_the_fleet",
        ),
        (
            _mutant(
                "more-than-half",
                "the share that opens is reached, not passed",
                f"{MACHINE}::test_a_share_of_failures_opens",
                (
                    JUDGE,
                    "if failed * PERCENT >= ended * terms.failing_percent and is_fleetwide",
                    "if failed * PERCENT > ended * terms.failing_percent and is_fleetwide",
                ),
            ),
            _mutant(
                "one-more",
                "the last failure of the streak opens",
                f"{MACHINE}::test_a_streak_opens_at_its_last_failure",
                (JUDGE, "c.streak >= terms.streak and", "c.streak > terms.streak and"),
            ),
            _mutant(
                "one-for-all",
                "one process does not speak for the fleet",
                f"{MACHINE}::test_one_bad_process_does_not_open_the_fleet",
                (JUDGE, "(c.is_streak_shared or not several)", "True"),
            ),
        ),
    ),
    Scenario(
        "A guarded function calls itself, two guards nest, a process forks, eight threads call at once.",
        (
            f"{GUARD}::test_a_guard_within_itself_joins_the_call",
            f"{GUARD}::test_layers_of_retries_do_not_multiply",
            f"{GUARD}::test_a_refusal_of_an_inner_guard_counts_nowhere",
            f"{GUARD}::test_threads_do_not_wait_for_each_other",
            f"{FLEET}::test_a_forked_child_reports_for_itself",
        ),
        (
            _mutant(
                "each-layer-counts",
                "a guard within itself is part of the call around it",
                f"{GUARD}::test_a_guard_within_itself_joins_the_call",
                (
                    "resilience/guard/fast.py",
                    (
                        "        if not era.passes or frame() is not NOWHERE or errand() is not None:\n"
                        "            return await guard.ain_full"
                    ),
                    (
                        "        if not era.passes or errand() is not None:\n"
                        "            return await guard.ain_full"
                    ),
                ),
            ),
            _mutant(
                "one-at-a-time",
                "nothing is held while a call is made",
                f"{GUARD}::test_threads_do_not_wait_for_each_other",
                ("resilience/guard/fast.py", "import functools\n", "import functools\nimport threading\n"),
                (
                    "resilience/guard/fast.py",
                    'T = TypeVar("T")\n',
                    'T = TypeVar("T")\n_LOCK = threading.Lock()\n',
                ),
                (
                    "resilience/guard/fast.py",
                    "            result = function(*arguments, **options)\n",
                    "            with _LOCK:\n                result = function(*arguments, **options)\n",
                ),
            ),
            _mutant(
                "child-of-its-parent",
                "a forked child begins anew",
                f"{FLEET}::test_a_forked_child_reports_for_itself",
                ("resilience/fleet.py", "os.register_at_fork(after_in_child=_forget_all)\n", ""),
            ),
        ),
    ),
    Scenario(
        (
            "The upstream comes back with thousands waiting: a ramp, no stampede, nothing lost "
            "(also `make simulate-outage`)."
        ),
        (
            f"{OUTAGE}::test_an_outage_costs_little_and_is_over_soon",
            f"{OUTAGE}::test_without_its_ramp_it_would_be_a_stampede",
            f"{SICK}::test_an_outage_costs_a_few_dozen_calls_and_no_attempt",
            f"{FLEET}::test_of_waiting_jobs_one_is_the_probe_and_then_a_ramp",
        ),
        (
            _mutant(
                "all-at-once",
                "a ramp gives out no more permits than its rate",
                f"{OUTAGE}::test_an_outage_costs_little_and_is_over_soon",
                (
                    JUDGE,
                    "self._permits = min(m.wants, (at - arrival) // interval + 1)",
                    "self._permits = m.wants",
                ),
            ),
        ),
    ),
    Scenario(
        (
            "One process gets 429 with Retry-After, in seconds, as a date, or absurd: no process calls "
            "before, none waits for ever, and no attempt is spent."
        ),
        (
            f"{PUSHBACK}::test_what_one_process_is_asked_for_holds_for_all",
            f"{RETRY_AFTER}::test_an_absurd_wait_is_cut_to_the_cap",
            f"{RETRY_AFTER}::test_what_cannot_be_read_is_no_statement",
            f"{DECISION}::test_a_pushback_spends_no_attempt",
        ),
        (
            _mutant(
                "told-to-nobody",
                "a pushback is told to all, though it turns nothing",
                f"{PUSHBACK}::test_what_one_process_is_asked_for_holds_for_all",
                (SCRIPT, " or c.not_before ~= not_before then", " then"),
            ),
            _mutant(
                "for-ever",
                "an absurd wait is cut",
                f"{PUSHBACK}::test_what_one_process_is_asked_for_holds_for_all",
                (SCRIPT, "math.min(m.retry_after, t.longest_retry_after)", "m.retry_after"),
            ),
        ),
    ),
    Scenario(
        (
            "A million keys, ten million calls: bounded memory, and keys that expire. "
            "An operator's order reaches eight processes at once, outlives them and the store's restart."
        ),
        (
            f"{SOAK}::test_a_million_keys",
            f"{SOAK}::test_ten_million_calls",
            f"{FLEET}::test_of_very_many_keys_the_idle_ones_make_room",
            f"{STORES}::test_a_circuit_of_which_nothing_is_heard_is_forgotten",
            f"{PROCESSES}::test_an_order_reaches_eight_processes_at_once",
            f"{FLEET}::test_an_order_outlives_a_restart_of_the_store",
            f"{STORES}::test_an_order_is_kept_until_it_ends",
        ),
        (
            _mutant(
                "every-key",
                "the oldest idle key makes room",
                f"{FLEET}::test_of_very_many_keys_the_idle_ones_make_room",
                ("resilience/fleet.py", "if len(self._keyed) > self._most_keyed:", "if not self._keyed:"),
            ),
            _mutant(
                "kept-for-ever",
                "a circuit of which nothing is heard expires",
                f"{STORES}::test_a_circuit_of_which_nothing_is_heard_is_forgotten",
                (SCRIPT, ", 'PX', math.max(tonumber(ARGV[4]), c.override_until - now))", ")"),
            ),
            _mutant(
                "forgotten-orders",
                "an order is kept until it ends",
                f"{STORES}::test_an_order_is_kept_until_it_ends",
                (SCRIPT, "if c.override ~= '' and c.override_until == 0 then", "if false then"),
            ),
            _mutant(
                "secret-orders",
                "an order is told to all",
                f"{PROCESSES}::test_an_order_reaches_eight_processes_at_once",
                (SCRIPT, "if #turns > 0 or is_overridden or", "if #turns > 0 or"),
            ),
        ),
    ),
)
MUTANTS: Final = tuple(mutant for scenario in SCENARIOS for mutant in scenario.mutants)

_HEAD: Final = """# What a fleet's breaker has to live through

Twelve scenarios, the tests that play them, and the proof that each test can fail: `make mutants` takes one
rule after the other out of a copy of the code, runs the test beside it, and demands that it fails. Processes
are real processes where a scenario speaks of processes, and the store is a real Redis. Tests that take long
run with `make outages`, all others with `make test`.

This page is written by `python -m holdfast.tests.integration.resilience.scenarios`.
"""


def page() -> str:
    """Write the table."""
    lines = [_HEAD]
    for number, scenario in enumerate(SCENARIOS, start=1):
        tests = [test.partition("::") for test in scenario.tests]
        falls = [(mutant.lacks, mutant.test.partition("::")[2]) for mutant in scenario.mutants]
        lines += [f"## {number}", "", scenario.says, "", "| Shown by | |", "|---|---|"]
        lines += [f"| `{name}` | `{file}` |" for file, _, name in tests]
        lines += ["", "| Without this rule | this test fails |", "|---|---|"]
        lines += [*(f"| {lacks} | `{name}` |" for lacks, name in falls), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
