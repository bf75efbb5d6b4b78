"""Speed and memory beside other programs; nothing else in the study imports it."""
