"""Protocols that turn detections into numbers with intervals."""
