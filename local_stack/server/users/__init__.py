"""The one user, and what ClearML's web UI remembers for it."""
