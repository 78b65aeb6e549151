"""Kernels: arrays and numbers only. Reach them through :func:`dissensus._backend.resolve`."""
