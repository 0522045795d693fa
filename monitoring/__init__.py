"""Who sees it: events become logs and metrics here, and Flower gets safe defaults."""
