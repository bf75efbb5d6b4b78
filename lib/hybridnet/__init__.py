"""Paper A, HybridNet: its variants, branches and fusion, its tables and figures."""
