"""Detectors and mask heads, composed from torchvision's detection parts."""
