"""Inputs that nobody means well: strategies for them, a small corpus, and what must hold for every one.

`tests/unit/test_fuzz_*.py` try a few hundred of each kind, `make fuzz` as many as are asked for.
"""
