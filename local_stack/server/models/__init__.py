"""Models: a name, where the weights are, and the task that made them."""
