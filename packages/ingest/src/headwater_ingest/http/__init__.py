"""The edge: one adapter per protocol, and the only room that knows status codes."""
