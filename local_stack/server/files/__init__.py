"""The file server: artifacts, models, dataset archives and debug samples."""
