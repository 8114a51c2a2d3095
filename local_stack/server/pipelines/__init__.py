"""Pipelines: runs that are started from earlier ones, and deleted."""
