"""What knows about ClearML and not about asteroids. It imports global_config and nothing above it."""
