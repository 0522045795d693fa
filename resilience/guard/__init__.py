"""One object per upstream that makes its calls: deadline, retry, breaker, limits and time, in one order."""
