"""Run programs one after another in one process, and tell as JSON lines what each printed or raised.

For the documents' programs: most of the time of a short program is its imports.
Call it with the files; each runs as `__main__`.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback


def main(files: list[str]) -> None:
    """Run each file and write one line about it."""
    for file in files:
        printed, error = io.StringIO(), ""
        with contextlib.redirect_stdout(printed):
            try:
                runpy.run_path(file, run_name="__main__")
            except BaseException:  # noqa: BLE001  whatever ends a program is what the test wants to know
                error = traceback.format_exc()
        sys.stdout.write(json.dumps({"file": file, "printed": printed.getvalue(), "error": error}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
