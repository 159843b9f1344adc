"""Inputs that nobody means well: strategies for them, a small corpus, and what must hold for every one.

`tests/integration/test_fuzz.py` tries a few of each kind, `make fuzz` as many as are asked for.
"""
