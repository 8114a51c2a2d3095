"""Workers: the agents, and the SDK's own processes, that report what they run."""
