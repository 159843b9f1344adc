"""The limit, used and kept: genfleet beside other systems on one simulated provider; see README.md."""
