"""An outage of an upstream, in a model: what the product does, beside what others do."""
