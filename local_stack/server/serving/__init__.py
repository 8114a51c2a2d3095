"""Serving: the containers that report which endpoints they serve, and how busy they are."""
