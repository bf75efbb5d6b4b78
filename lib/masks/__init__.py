"""Masks from boxes: GrabCut, mask quality, run-length codes."""
