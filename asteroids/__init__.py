"""What knows about asteroids. Of clearml_tools it imports errors.py, and plots.py interrupts.py as well.

ClearML appears here as the logger that plots.py is given.
"""
