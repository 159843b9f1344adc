"""Drivers of other projects' systems, each run by the Python of an environment of its own."""
