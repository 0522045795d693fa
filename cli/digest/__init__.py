"""`holdfast digest` and `holdfast demo`: order the work, watch it, show what came of it."""
