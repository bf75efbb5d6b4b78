"""Labels as people have them: read, repaired, counted."""
