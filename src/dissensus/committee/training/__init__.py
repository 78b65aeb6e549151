"""Training and export of the short-chunk CNN: the only files that import torch (extra ``train``)."""
