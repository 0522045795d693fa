"""Who runs it? The worker process: pool, gate, executor, leases, maintenance, intake, probes."""
