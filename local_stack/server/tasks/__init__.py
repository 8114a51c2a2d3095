"""The tasks service, one module per concern."""
