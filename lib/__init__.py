"""Boxes to Masks: instance segmentation without full mask labels, as a reproducible study."""
