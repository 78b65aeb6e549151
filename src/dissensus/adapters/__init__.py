"""What lets other active-learning libraries ask as this one does.

:mod:`dissensus.adapters.scikit_activeml` holds a query strategy of scikit-activeml (the extra ``adapters``),
:mod:`dissensus.adapters.modal` functions with the signature of modAL's strategies (which need not be installed).
"""
