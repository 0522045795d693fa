"""How fast and how many at once: rate limits, bulkheads, and sizes that adapt."""
