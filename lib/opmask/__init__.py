"""Paper B, OPMask: its variants, tables and figures."""
