"""What knows about asteroids and not about ClearML: of clearml_tools it imports UserError alone."""
