"""Steps: what to run, what is up to date, and running it."""
