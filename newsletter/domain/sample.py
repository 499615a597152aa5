"""The sample day: how to recognize its invented papers and their hand-written scores."""

from __future__ import annotations

FIRST_NUMBER = 90_001
"""arXiv has never reached 40,000 papers in a month."""
AUTHOR = "sample author"
"""Stands for a model in the usage of a digest whose scores were written by hand."""
PRICED_AS = "claude-haiku-5-5"
"""The model whose tokens and prices the estimate in such a usage follows."""


def is_sample(paper_id: str) -> bool:
    """Whether the paper is one of the sample day's, such as `2511.90001`."""
    number = paper_id.rpartition(".")[2]
    return number.isdecimal() and int(number) >= FIRST_NUMBER
