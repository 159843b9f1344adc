"""What people see in a terminal: jobs, the list of them, and the fleet."""
