"""A daily arXiv digest: every new paper scored against each subscriber's own rubric."""

__version__ = "0.2.0"
