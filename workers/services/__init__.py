"""What keeps the ledger moving beside the jobs: stager, rescuer, undertaker, pruner, epoch watch.

One shape: a name, a pause, and `run_once`, which does a bounded piece of work
and says whether there is more. Each statement is a compare-and-set or a
level, so it is harmless when two leaders run one at the same time.
"""
