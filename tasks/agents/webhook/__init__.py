"""The work behind `webhook`: one HTTP call, as a job.

`arguments` says what may be asked, `answer` what comes back, `jobs` holds the
task. Where a call may go, and how far it is read, is `holdfast.tasks.outbound`.
"""
