"""Running an evaluation: one listener and one split at a time, in parallel, continued where it stopped."""
