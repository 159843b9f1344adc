"""Machines of their own as far as the network goes: namespaces, and cables to them that are slow, lossy or cut."""
