"""What can be wrong with a schedule."""

from holdfast.jobs.platform_error import PlatformError


class ScheduleError(PlatformError):
    """Something is wrong with a schedule."""

    code = "schedule_error"


class InvalidSchedule(ScheduleError):
    """The schedule makes no sense."""

    code = "invalid_schedule"
    hint = "Nothing was written; mend the schedule."


class ScheduleNotFound(ScheduleError):
    """No schedule has this name."""

    code = "schedule_not_found"
    hint = "`holdfast schedules list` shows those that there are."


class ScheduleExists(ScheduleError):
    """A schedule of this name exists already."""

    code = "schedule_exists"
    hint = "Nothing was written; add `--replace` to change it, or choose another name."
