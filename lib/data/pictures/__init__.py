"""Pictures on disk: found, looked at, read."""
