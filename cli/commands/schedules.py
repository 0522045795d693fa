"""`holdfast schedules`: what begins by itself, and an operator's hand on it."""

from typing import Annotated, Literal

import typer

from holdfast.cli.arguments import job_arguments
from holdfast.cli.connection import connected, load_tasks, opened_ledger
from holdfast.cli.schedule_page import as_json as shown_as_json
from holdfast.cli.schedule_page import next_tick_of, show_list, show_one
from holdfast.cli.task_list import schema_of
from holdfast.cli.terminal import err, out, print_json, say
from holdfast.jobs.errors import InvalidSchedule
from holdfast.jobs.schedules.definition import Definition, Source
from holdfast.ledger import Ledger
from holdfast.settings import load
from holdfast.tasks import Schedule, registry
from holdfast.tasks.by_name import choose_offer

schedules = typer.Typer(
    no_args_is_help=True, help="See when jobs begin by themselves; add, pause, run and remove schedules."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the schedule.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Of schedules.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@schedules.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List all schedules with their next ticks."""
    with opened_ledger(load()) as ledger:
        found = ledger.schedules.listed()
    if as_json:
        print_json([shown_as_json(one) for one in found])
    else:
        show_list(out(), found)


@schedules.command()
def show(
    name: Name,
    *,
    ticks: Annotated[int, typer.Option(min=0, max=100, help="So many of the next ticks.")] = 5,
    arguments: Annotated[
        bool, typer.Option("--arguments", help="Show the arguments, which may be private.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one schedule: its rule in words, its next ticks, what each of them becomes."""
    with opened_ledger(load()) as ledger:
        found = ledger.schedules.one(name)
    if as_json:
        print_json(shown_as_json(found, ticks=ticks, with_arguments=arguments))
    else:
        show_one(out(), found, ticks=ticks, with_arguments=arguments)


@schedules.command()
def add(  # noqa: PLR0913 -- each is an option of the command line
    name: Name,
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="`30 2 * * MON-FRI`, `@daily`, or `every 1h30m`.")
    ],
    task: Annotated[str, typer.Argument(help="The task's name; `holdfast tasks` lists them.")],
    arguments: Annotated[
        str | None, typer.Argument(metavar="[JSON]", help="The arguments of each job as a JSON object.")
    ] = None,
    *,
    arg: Annotated[
        list[str] | None, typer.Option("--arg", "-a", metavar="NAME=VALUE", help="May be repeated.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Whose clocks cron reads, as IANA names it.")] = "UTC",
    missed: Annotated[
        Literal["skip", "one", "all"],
        typer.Option(help="What becomes of ticks that passed while no worker was there."),
    ] = "one",
    deadline: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds from its tick in which a job has to end.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Another queue than the task's own.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 is first, 9 is last.")] = None,
    tenant: Annotated[str | None, typer.Option(help="On whose behalf.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the schedule of this name, if there is one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a schedule, or change one; no release of the code touches it from then on."""
    settings = load()
    load_tasks(settings)
    with opened_ledger(settings) as ledger:
        given = job_arguments(arguments, arg or [], schema_of(task, ledger))
        wanted = Schedule(
            rule, name=name, arguments=given, zone=zone, missed=missed, queue=queue,
            priority=priority, tenant=tenant, deadline_seconds=deadline,
        )  # fmt: skip
        found = ledger.schedules.add(_defined(wanted, name, task, ledger), replace=replace)
    if as_json:
        print_json(shown_as_json(found))
    else:
        say(out(), f"{name} ticks next at {next_tick_of(found)}.")


@schedules.command()
def pause(
    names: Names,
    *,
    reason: Annotated[str, typer.Option(help="Why; whoever looks at the schedule reads it.")] = "",
) -> None:
    """Let schedules tick no more until they are resumed, whatever is deployed meanwhile."""
    with opened_ledger(load()) as ledger:
        for name in names:
            changed = ledger.schedules.pause(name, reason)
            say(out(), f"{name} {'is paused' if changed else 'was paused already'}.")


@schedules.command()
def resume(names: Names) -> None:
    """Let schedules tick again, from now on; ticks of the pause are left out."""
    with opened_ledger(load()) as ledger:
        for name in names:
            changed = ledger.schedules.resume(name)
            ticks = f"ticks next at {next_tick_of(ledger.schedules.one(name))}"
            say(out(), f"{name} {ticks if changed else 'was not paused'}.")


@schedules.command()
def run_now(name: Name, *, as_json: AsJson = False) -> None:
    """Enqueue one job as if it were a tick of this moment, also while the schedule is paused."""
    settings = load()
    with connected(settings, must_run=False) as connection:
        job_id = connection.ledger.schedules.run_now(name).job_id
        connection.client.ring_sync([job_id])
    if as_json:
        print_json({"job_id": job_id})
    else:
        say(out(), job_id)


@schedules.command()
def remove(names: Names) -> None:
    """Delete schedules; their jobs stay."""
    with opened_ledger(load()) as ledger:
        for name in names:
            source = ledger.schedules.one(name).source
            ledger.schedules.remove(name)
            say(out(), f"{name} is removed.")
            if source is Source.CODE:
                say(err(), f"A worker whose code declares {name} adds it again when it starts.", "yellow")


def _defined(wanted: Schedule, name: str, task: str, ledger: Ledger) -> Definition:
    if not name:
        raise InvalidSchedule(detail="a schedule needs a name")
    known = registry.get(task)
    if known is not None:
        return wanted.of_task(known.spec)
    return wanted.of_offer(name, choose_offer(ledger.offers(), task))
