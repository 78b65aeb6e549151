"""The slow twin of every kernel: numpy, float64, obvious. What the other backends are tested against."""
