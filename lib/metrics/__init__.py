"""Protocols that turn detections into numbers with intervals, and verdicts on claims."""
