"""Experiments with a table of their own: the listener model, its ratings, the crowd in a committee, trained networks."""
