"""Queues of tasks that wait for an agent."""
