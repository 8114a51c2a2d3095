"""A throwaway ClearML on this machine, for learning, demos and tests."""
