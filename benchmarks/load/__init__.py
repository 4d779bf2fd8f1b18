"""Load for a service in processes of its own, and what it did with it."""
