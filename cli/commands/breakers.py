"""`holdfast breakers`: what the fleet knows of its upstreams, and an operator's hand on them."""

from typing import Annotated

import typer

from holdfast.cli.breaker_page import as_json as shown_as_json
from holdfast.cli.breaker_page import show_list, show_one
from holdfast.cli.connection import opened_control
from holdfast.cli.errors import UnknownUpstream
from holdfast.cli.terminal import err, out, print_json, say
from holdfast.resilience.breaker.message import Order, Reply
from holdfast.settings import load

breakers = typer.Typer(
    no_args_is_help=True, help="See the breakers of upstreams, and open or close them by hand."
)

Name = Annotated[str, typer.Argument(metavar="UPSTREAM", help="As the guard is named.")]
Reason = Annotated[str, typer.Option(help="Why; whoever looks at it reads this.")]
For = Annotated[
    float | None,
    typer.Option("--for", metavar="SECONDS", help="Lifts itself afterwards; without it, it holds."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@breakers.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """List the upstreams that were called within the last hour, or have an order, and how they stand."""
    with opened_control(load()) as control:
        found = [one for name in control.names() if (one := control.show(name)) is not None]
    if as_json:
        print_json([shown_as_json(one) for one in found])
    else:
        show_list(out(), found)


@breakers.command()
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show one breaker: its phase and why, its counts, the probe, the ramp, an operator's override."""
    with opened_control(load()) as control:
        found = control.show(name)
    if found is None:
        raise UnknownUpstream(detail=name)
    if as_json:
        print_json(shown_as_json(found))
    else:
        show_one(out(), found)


@breakers.command()
def isolate(name: Name, *, reason: Reason, for_: For = None) -> None:
    """Let no call pass, in no process, until it is released or closed; its jobs wait."""
    _order(name, Order.ISOLATE, reason, for_)


@breakers.command()
def disable(name: Name, *, reason: Reason, for_: For = None) -> None:
    """Let all calls pass, and count none."""
    _order(name, Order.DISABLE, reason, for_)


@breakers.command()
def shadow(name: Name, *, reason: Reason, for_: For = None) -> None:
    """Let all calls pass, count them, and only tell what would have been refused."""
    _order(name, Order.SHADOW, reason, for_)


@breakers.command()
def release(name: Name, *, reason: Reason = "") -> None:
    """Lift what an operator ordered: the breaker decides again, from where it stands."""
    _order(name, Order.RELEASE, reason, None)


@breakers.command()
def close(name: Name, *, reason: Reason) -> None:
    """Lift what was ordered and close the breaker: all calls pass from now on."""
    _order(name, Order.CLOSE, reason, None)


def _order(name: str, order: Order, reason: str, for_seconds: float | None) -> None:
    with opened_control(load()) as control:
        is_known = control.show(name) is not None
        reply = control.order(name, order, reason=reason, for_seconds=for_seconds)
    say(out(), f"{name} is {_now(reply)}.")
    if not is_known:
        say(err(), f"Nobody has called {name} within the last hour: is that its name?", "yellow")


def _now(reply: Reply) -> str:
    return reply.override.value or reply.phase.value
