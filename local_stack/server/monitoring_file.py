"""The file by which `up --serving` tells the pages of its monitoring."""

MONITORING = "monitoring.json"  # in the home of the stack
