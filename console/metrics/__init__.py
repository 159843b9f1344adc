"""The fleet's figures for Prometheus: the ledger's own counters, read when they are asked for."""
