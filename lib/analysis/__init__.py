"""The statistics behind the study's figures, and the verdicts on the papers' claims."""
