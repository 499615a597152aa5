"""A daily arXiv digest: every new paper read against each subscriber's own rubric."""

__version__ = "0.1.0"
