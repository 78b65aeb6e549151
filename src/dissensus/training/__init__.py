"""Training of neural networks: the one place where torch is imported, always late."""
