"""The `genfleet` command, one module per group of subcommands."""
