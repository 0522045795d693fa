"""Isolated processes: where jobs run whose death must not be the death of others (B11).

    worker ── asks ──> nursery process ── fork ──> child (one job, or a cohort of suspects)
       lane: which job runs in which child          runs it with the worker's own executor
       settles what the child says                  says how it ended, over its line
       hears from the nursery how a child died

The nursery process has loaded the user's modules and has no threads, so a
child is there in milliseconds. Leases stay with the worker: it beats, it
settles, and it may kill a child, which no thread allows.
"""
