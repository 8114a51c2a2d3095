"""Read-only web pages, at the very URLs that the SDK prints."""
