"""Reports: tasks of a type of their own, in hidden projects."""
