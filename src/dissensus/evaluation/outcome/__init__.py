"""What a finished table of scores says: gains with intervals, tests, nulls, and who was personalised."""
