"""What an audio file really holds, read from its bytes before a decoder sees it: the length a container declares is a claim.

:func:`~dissensus.features.containers.read.read_layout` finds the audio (behind tags, between garbage, in a stream beside
others, in joined files) and hands each stretch to the decoder as a :class:`~dissensus.features.containers.views.View`: the
bytes of the file under a header that is right.
"""
