"""What concerns all projects: tags, counts, workloads and tables as files."""
