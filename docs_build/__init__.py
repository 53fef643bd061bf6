"""Writes what is generated of the documentation, and helps to build it."""
