"""What `holdfast doctor` looks at; one subject per file."""
