"""Tables of the papers, recomputed beside the printed figures."""
