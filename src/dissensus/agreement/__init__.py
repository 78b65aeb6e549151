"""How far people agree about what they hear: Krippendorff's alpha, groups of people, the reliability of one annotator.

It knows ratings alone: no committee, no data set.
"""
