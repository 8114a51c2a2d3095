"""What knows about asteroids and not about ClearML. Of clearml_tools it imports errors.py alone."""
