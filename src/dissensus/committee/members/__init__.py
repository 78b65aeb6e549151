"""The kinds of classifier that vote in a committee: one file for each kind, and what boosted trees keep."""
