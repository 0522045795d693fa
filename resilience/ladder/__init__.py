"""What is done when an upstream does not answer: another one, an older answer, or waiting."""
