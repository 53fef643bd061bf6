"""One run of the tap: which lists are due, the order they are read in, and what is kept of them."""
