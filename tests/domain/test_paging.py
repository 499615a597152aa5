from __future__ import annotations

import pytest

from newsletter.domain.paging import PAGE, paged


@pytest.mark.parametrize(
    ("number", "pages"), [(0, []), (1, [[0]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]])]
)
def test_the_last_page_has_the_rest(number: int, pages: list[list[int]]):
    assert list(paged(range(number), 3)) == pages


def test_an_iterator_is_read_page_by_page():
    read = iter(range(PAGE + 1))
    assert len(next(paged(read))) == PAGE
    assert next(read) == PAGE
