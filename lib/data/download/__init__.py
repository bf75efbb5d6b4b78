"""Real sets and weights: fetched, verified, unpacked, and turned into COCO-format files."""
