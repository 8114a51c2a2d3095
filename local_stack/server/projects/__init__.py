"""Projects: a tree by the slashes in their names."""
