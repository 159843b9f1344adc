"""What the ledger's counters say of jobs, models and workers, for whoever shows it: pure functions over readings."""
