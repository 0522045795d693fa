"""Parents and children: what is planned, whose wait is over, and who is left by its parent.

Nothing is counted up or down. Whether a wait is over is asked of the children's
own rows each time, so no crash, requeue or sweep can make a number drift (B15).
"""

from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Integer,
    Select,
    String,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert

from holdfast.jobs.children import CHILDREN, FailurePolicy
from holdfast.jobs.state import FINAL_STATES, JobState
from holdfast.ledger.batch import Batch, is_named
from holdfast.ledger.schema import jobs
from holdfast.ledger.schema_children import gatherings
from holdfast.ledger.statements.shape import MOVED, WAITING, becoming, in_state, is_still, named
from holdfast.ledger.types import Now, OneOfIds

PARENT: Final = "parent"
NAME: Final = "wait_name"
POLICY: Final = "policy"
GROUPS: Final = "groups"
DIGEST: Final = "digest"
GENERATION: Final = "generation"
AFTER_GROUP: Final = "after_group"
AFTER: Final = "after"
LIMIT: Final = "limit"

_child: Final = jobs.alias("child")
_parent: Final = jobs.alias("parent")
_parent_id: Final = bindparam(PARENT, type_=String())
_name: Final = bindparam(NAME, type_=String())
_groups: Final = bindparam(GROUPS, type_=Text())


@cache
def gathering() -> Select[*tuple[Any, ...]]:
    """Read what a parent planned under a name."""
    return select(gatherings.c.digest, gatherings.c.generation).where(
        gatherings.c.parent_id == _parent_id, gatherings.c.name == _name
    )


@cache
def put_gathering() -> Insert:
    """Write what a parent plans under a name, or that it does so in a new generation."""
    values = insert(gatherings).values(
        parent_id=_parent_id,
        name=_name,
        policy=bindparam(POLICY, type_=String()),
        groups=_groups,
        digest=bindparam(DIGEST, type_=String()),
        generation=bindparam(GENERATION, type_=Integer()),
    )
    return values.on_conflict_do_update(
        index_elements=["parent_id", "name"],
        set_={name: values.excluded[name] for name in ("policy", "generation")},
    )


@cache
def note_children() -> Update:
    """Note on a job that it has children."""
    return jobs.update().values(has_children=True).where(jobs.c.id == _parent_id, ~jobs.c.has_children)


@cache
def places() -> Select[*tuple[Any, ...]]:
    """Read who has the places of a parent's groups, and how they stand."""
    return select(jobs.c.id, jobs.c.child_group, jobs.c.child_position, jobs.c.state).where(_is_of_groups())


@cache
def leave_places() -> Update:
    """Take the places of a batch of children: others get them. They stay their parent's children."""
    return jobs.update().values(child_group=None, child_position=None).where(is_named(jobs.c.id))


@cache
def ends() -> Select[*tuple[Any, ...]]:
    """Read a page of a parent's children, in the order of their groups' names and places."""
    place = (jobs.c.child_group, jobs.c.child_position)
    after = (bindparam(AFTER_GROUP, type_=String()), bindparam(AFTER, type_=Integer()))
    return (
        select(
            jobs.c.id,
            *place,
            jobs.c.task,
            jobs.c.state,
            jobs.c.reason,
            jobs.c.detail,
            jobs.c.result,
            jobs.c.failure,
            jobs.c.finished_at,
        )
        .where(_is_of_groups(), tuple_(*place) > tuple_(*after))
        .order_by(*place)
        .limit(bindparam(LIMIT, type_=Integer()))
    )


@cache
def is_over() -> Select[*tuple[Any, ...]]:
    """Ask whether a wait of a parent is over."""
    wait = and_(gatherings.c.parent_id == _parent_id, gatherings.c.name == _name)
    return select(exists().where(wait, _has_come(_parent_id)))


@cache
def wake() -> Update:
    """Let those of a batch go on that wait for children, and whose wait is over."""
    return (
        jobs.update()
        .values(**becoming(JobState.AVAILABLE), wake_seq=jobs.c.wake_seq + 1)
        .where(is_named(jobs.c.id), is_still(JobState.PARKED), _awaits(), _wait_is_over())
        .returning(*MOVED, jobs.c.priority, jobs.c.cohort)
    )


@lru_cache(maxsize=64)
def awake(limit: int) -> Select[*tuple[Any, ...]]:
    """Read jobs that wait for children, and whose wait is over."""
    return select(jobs.c.id).where(in_state(JobState.PARKED), _awaits(), _wait_is_over()).limit(limit)


# What belongs to a parent that ended without a result.


@lru_cache(maxsize=64)
def bereaved(limit: int, *, locks: bool = False) -> Select[*tuple[Any, ...]]:
    """Read parents that ended without a result and may have open children."""
    found = (
        select(jobs.c.id).where(jobs.c.has_children, _failed(jobs)).order_by(jobs.c.finished_at).limit(limit)
    )
    return found.with_for_update(skip_locked=True, key_share=True, of=jobs) if locks else found


@lru_cache(maxsize=64)
def open_children(limit: int, *, of_groups: bool = False) -> Select[*tuple[Any, ...]]:
    """Lock open children of a batch of parents, or of groups of one, whose end nobody has asked for."""
    whose = _is_of_groups() if of_groups else and_(jobs.c.parent_id.is_not(None), is_named(jobs.c.parent_id))
    return (
        select(jobs.c.id, jobs.c.state)
        .where(whose, _open(jobs), _is_not_asked(jobs))
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True, of=jobs)
    )


@lru_cache(maxsize=64)
def cancel_waiting(why: str) -> Update:
    """Cancel those of a batch that wait."""
    return (
        jobs.update()
        .values(**becoming(JobState.CANCELLED, detail=literal(why, String)), cancel_requested_at=Now())
        .where(is_named(jobs.c.id), is_still(*WAITING))
        .returning(*MOVED)
    )


@lru_cache(maxsize=64)
def ask_running(why: str) -> Update:
    """Ask for the end of those of a batch that run."""
    return (
        jobs.update()
        .values(cancel_requested_at=Now(), cancel_reason=literal(why, String))
        .where(is_named(jobs.c.id), is_still(JobState.RUNNING), jobs.c.cancel_requested_at.is_(None))
    )


@cache
def close() -> Update:
    """Let go of the parents of a batch whose open children have all been asked to end."""
    left = exists().where(
        _child.c.parent_id == jobs.c.id, _child.c.parent_id.is_not(None), _open(_child), _is_not_asked(_child)
    )
    return jobs.update().values(has_children=False).where(is_named(jobs.c.id), jobs.c.has_children, ~left)


@cache
def delete_gatherings() -> Delete:
    """Delete what a batch of parents had planned."""
    rows = Batch()
    return gatherings.delete().where(gatherings.c.parent_id.in_(select(rows.text("id"))))


def is_needed() -> ColumnElement[bool]:
    """Tell of a row of `jobs` that its parent may still ask for it: it is open, or may be requeued."""
    asks_no_more = _parent.c.state.in_([named(JobState.COMPLETED.value), named(JobState.CANCELLED.value)])
    return exists().where(_parent.c.id == jobs.c.parent_id, ~asks_no_more)


@cache
def reader() -> Select[*tuple[Any, ...]]:
    """Read of a job whether its parent is open, and waits for just this child."""
    waits = exists().where(
        gatherings.c.parent_id == _parent.c.id,
        _parent.c.waiting_for == _wait_name(),
        OneOfIds(jobs.c.child_group, gatherings.c.groups),
    )
    is_open = not_(_parent.c.state.in_([named(state.value) for state in sorted(FINAL_STATES)]))
    return (
        select(_parent.c.id, case((waits, 1), else_=0).label("waits"))
        .select_from(jobs.join(_parent, _parent.c.id == jobs.c.parent_id))
        .where(jobs.c.id == _parent_id, jobs.c.child_group.is_not(None), is_open)
    )


def _is_of_groups() -> ColumnElement[bool]:
    return and_(
        jobs.c.parent_id == _parent_id, jobs.c.parent_id.is_not(None), OneOfIds(jobs.c.child_group, _groups)
    )


def _wait_name() -> ColumnElement[str]:
    return cast(literal(CHILDREN, String), Text) + gatherings.c.name


def _awaits() -> ColumnElement[bool]:
    # As the index has it.
    begins = func.substr(jobs.c.waiting_for, literal_column("1"), literal_column(str(len(CHILDREN))))
    return begins == literal_column(f"'{CHILDREN}'", String)


def _wait_is_over() -> ColumnElement[bool]:
    wait = and_(gatherings.c.parent_id == jobs.c.id, jobs.c.waiting_for == _wait_name())
    # Without its plan it would wait for ever; it plans again.
    return or_(exists().where(wait, _has_come(jobs.c.id)), ~exists().where(wait))


def _has_come(parent_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Tell of a row of `gatherings` whether there is nothing left to wait for."""
    mine = and_(
        _child.c.parent_id == parent_id,
        _child.c.parent_id.is_not(None),
        OneOfIds(_child.c.child_group, gatherings.c.groups),
    )
    return or_(
        ~_some_child(mine, _open(_child)),
        and_(_has_policy(FailurePolicy.ALL), _some_child(mine, _failed(_child))),
        and_(
            _has_policy(FailurePolicy.ANY),
            _some_child(mine, _child.c.state == named(JobState.COMPLETED.value)),
        ),
    )


def _some_child(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    # Two queries deep, the row of `jobs` is not found unless it is named; another one would be read.
    return select(_child.c.id).where(*conditions).correlate(jobs, gatherings).exists()


def _has_policy(policy: FailurePolicy) -> ColumnElement[bool]:
    return gatherings.c.policy == named(policy.value)


def _is_not_asked(table: FromClause) -> ColumnElement[bool]:
    return or_(table.c.state != named(JobState.RUNNING.value), table.c.cancel_requested_at.is_(None))


def _open(table: FromClause) -> ColumnElement[bool]:
    # The words of the index, in its order.
    words = (JobState.SCHEDULED, JobState.AVAILABLE, JobState.RUNNING, JobState.PARKED)
    return table.c.state.in_([named(word.value) for word in words])


def _failed(table: FromClause) -> ColumnElement[bool]:
    return table.c.state.in_([named(JobState.CANCELLED.value), named(JobState.QUARANTINED.value)])
