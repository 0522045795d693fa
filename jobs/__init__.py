"""What is a job? The frozen vocabulary of Holdfast: no I/O, no framework."""
