"""What a user would pick instead of the tap, as straightforward and as correct as it can be."""
