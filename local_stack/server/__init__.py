"""A small server that the unmodified ClearML clients take for a ClearML server."""
