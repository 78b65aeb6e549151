"""What asking and personalising are worth, measured on listeners who were held out.

``protocol``, ``splits``, ``scores``, ``intervals`` and ``curves`` are shared by all; ``run`` makes the table of scores,
``outcome`` says what follows from it, ``report`` shows it; ``studies`` and ``papers`` are experiments of their own, and
``showcase`` is the demo.
"""
