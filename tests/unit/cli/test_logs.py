"""The last words of a child."""

from holdfast.cli.supervisor.logs import last_lines, rotate, without_frames

TRACE = """Starting
Traceback (most recent call last):
  File "/srv/app/start.py", line 3, in <module>
    import nothing
    ^^^^^^^^^^^^^^
  File "<frozen importlib>", line 12, in find
ModuleNotFoundError: No module named 'nothing'
"""


def test_an_error_is_shown_without_its_frames():
    """Of a traceback only the line that names the error is shown."""
    assert ["Starting", "ModuleNotFoundError: No module named 'nothing'"] == without_frames(
        TRACE.splitlines()
    )


def test_only_its_own_life_is_quoted(tmp_path):
    """What an earlier life of the child wrote is not taken for its last words."""
    log = tmp_path / "child.log"
    log.write_text("old\n")
    begins = log.stat().st_size
    with log.open("a") as file:
        file.write("\x1b[31mnew\x07\n\n")
    assert (" [31mnew",) == last_lines(log, since=begins)


def test_a_log_has_an_end(tmp_path):
    """A log that has grown too large is put aside once, over the one before."""
    log = tmp_path / "child.log"
    log.write_text("x" * 100)
    rotate(log, largest_bytes=200)
    assert log.exists()
    rotate(log, largest_bytes=50)
    assert not log.exists()
    assert 100 == (tmp_path / "child.log.1").stat().st_size


def test_no_log_no_words(tmp_path):
    """A child that never wrote has no last words."""
    assert () == last_lines(tmp_path / "none.log")
