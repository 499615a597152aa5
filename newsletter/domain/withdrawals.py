"""Recognise withdrawn papers by their text (pure).

arXiv keeps it and adds a version whose comment, and often its abstract, say that it is withdrawn
(info.arxiv.org/help/withdraw.html). There is no field for it, so the words decide; papers that were
withdrawn from a conference, or that write of withdrawn drugs, are not meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from newsletter.domain.model import Paper

THING = r"(?:paper|submission|article|manuscript|preprint|work|version)"
COMMENT = re.compile(
    rf"(?:\b{THING}\b[^.;]{{0,40}}\b(?:is|was|been|being)\s+withdrawn"
    r"|^\W*withdrawn\b"
    r"|\bwithdrawn\s+by\s+(?:the\s+|its\s+)?(?:author|arxiv|submitter))(?!\s+from\b)",
    re.IGNORECASE,
)
ABSTRACT = re.compile(
    rf"^\W*(?:this|the)\s+{THING}\s+(?:has\s+been|is|was)\s+withdrawn\b(?!\s+from\b)",
    re.IGNORECASE,
)


def is_withdrawn(paper: Paper) -> bool:
    return bool(COMMENT.search(paper.comment) or ABSTRACT.search(paper.abstract))
