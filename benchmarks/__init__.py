"""What the tap costs, and what a user would pick instead: `make bench` writes RESULTS.md."""
