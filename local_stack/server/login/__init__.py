"""Who calls: key pairs, tokens, and the session of ClearML's own web UI."""
