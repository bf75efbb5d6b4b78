"""The embedded scenes: a COCO-format data set with exact masks, drawn from artwork, no download."""
