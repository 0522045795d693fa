"""Real servers, waiting and builders for the tests; no test of its own."""
