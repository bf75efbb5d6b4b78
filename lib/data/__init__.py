"""Labels and pictures: COCO-format sets, categories and splits, embedded scenes."""
