"""TF-IDF: texts as weighted word vectors, equal to scikit-learn's `TfidfVectorizer` (pure)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.intp]

WORD = re.compile(r"\b\w\w+\b")
_GLASGOW = """
a about above across after afterwards again against all almost alone along already also although
always am among amongst amoungst amount an and another any anyhow anyone anything anyway anywhere
are around as at back be became because become becomes becoming been before beforehand behind being
below beside besides between beyond bill both bottom but by call can cannot cant co con could
couldnt cry de describe detail do done down due during each eg eight either eleven else elsewhere
empty enough etc even ever every everyone everything everywhere except few fifteen fifty fill find
fire first five for former formerly forty found four from front full further get give go had has
hasnt have he hence her here hereafter hereby herein hereupon hers herself him himself his how
however hundred i ie if in inc indeed interest into is it its itself keep last latter latterly least
less ltd made many may me meanwhile might mill mine more moreover most mostly move much must my
myself name namely neither never nevertheless next nine no nobody none noone nor not nothing now
nowhere of off often on once one only onto or other others otherwise our ours ourselves out over own
part per perhaps please put rather re same see seem seemed seeming seems serious several she should
show side since sincere six sixty so some somehow someone something sometime sometimes somewhere
still such system take ten than that the their them themselves then thence there thereafter thereby
therefore therein thereupon these they thick thin third this those though three through throughout
thru thus to together too top toward towards twelve twenty two un under until up upon us very via
was we well were what whatever when whence whenever where whereafter whereas whereby wherein
whereupon wherever whether which while whither who whoever whole whom whose why will with within
without would yet you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_GLASGOW.split())
"""English stop words: the list of the Glasgow Information Retrieval Group."""


@dataclass(frozen=True, slots=True)
class SparseMatrix:
    """The non-zero values of a matrix, row by row (CSR).

    Row i is `values[starts[i]:starts[i + 1]]`, in the columns at the same places of `columns`.
    """

    starts: Integers
    columns: Integers
    values: Floats
    width: int

    @property
    def height(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Integers:
        """The row of each value."""
        return np.repeat(np.arange(self.height), np.diff(self.starts))

    def dot(self, vector: Floats) -> Floats:
        return self.row_sums(self.values * vector[self.columns])

    def row_sums(self, values: Floats) -> Floats:
        """Sums by row of values that stand at the places of `self.values`."""
        # The added zero gives an empty last row a place; reduceat returns a value for empty rows.
        sums = np.add.reduceat(np.append(values, 0.0), self.starts[:-1])
        sums[self.starts[:-1] == self.starts[1:]] = 0.0
        return sums

    def transposed(self) -> SparseMatrix:
        order = np.argsort(self.columns, kind="stable")
        lengths = np.bincount(self.columns, minlength=self.width)
        return SparseMatrix(_starts(lengths), self.rows[order], self.values[order], self.height)

    def dense_row(self, row: int) -> Floats:
        dense = np.zeros(self.width)
        place = slice(self.starts[row], self.starts[row + 1])
        dense[self.columns[place]] = self.values[place]
        return dense


class WordCounts:
    """How often each word occurs in each text, without stop words. Each text is tokenized once.

    Matrices have one row for each text, one column for each word. With `pairs`, two words that
    follow each other count as a word too, stop words left out.
    """

    def __init__(self, *, pairs: bool = False) -> None:
        self._pairs = pairs
        self.words: list[str] = []
        self._columns: dict[str, int] = {}
        self._texts: dict[str, _Counts] = {}

    @cached_property
    def with_pairs(self) -> WordCounts:
        """Counts of words and pairs, to be shared along with these; empty at first."""
        return WordCounts(pairs=True)

    def __contains__(self, key: str) -> bool:
        return key in self._texts

    def add(self, key: str, text: str) -> None:
        """Count the words of a text, unless a text with this key is known."""
        if key not in self._texts:
            self._texts[key] = self._counts(text)

    def matrix(self, keys: Iterable[str], texts: Iterable[str] = ()) -> SparseMatrix:
        """The counts of known texts, then of further `texts`, which are not kept."""
        rows = [*(self._texts[key] for key in keys), *(self._counts(text) for text in texts)]
        empty = np.zeros(0)
        return SparseMatrix(
            _starts([len(row.columns) for row in rows]),
            np.concatenate([empty, *(row.columns for row in rows)]).astype(np.intp),
            np.concatenate([empty, *(row.counts for row in rows)]),
            len(self.words),
        )

    def _counts(self, text: str) -> _Counts:
        counted = _count(text, pairs=self._pairs)
        # By alphabet, so that rounding does not depend on the texts counted before.
        words = sorted(counted)
        for word in words:
            if word not in self._columns:
                self._columns[word] = len(self.words)
                self.words.append(word)
        return _Counts(
            np.array([self._columns[word] for word in words], dtype=np.int32),
            np.array([counted[word] for word in words], dtype=np.int32),
        )


def _words_of(text: str) -> list[str]:
    return [word for word in WORD.findall(text.lower()) if word not in STOP_WORDS]


def _count(text: str, *, pairs: bool) -> Counter[str]:
    found = _words_of(text)
    counted = Counter(found)
    if pairs:
        counted.update(f"{one} {other}" for one, other in pairwise(found))
    return counted


class _Counts(NamedTuple):
    columns: NDArray[np.int32]
    counts: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TfidfWeights:
    """The words that count, by alphabet, and the inverse document frequency of each.

    `columns` maps the column of a word in the counts to its place, -1 for words left out.
    """

    columns: Integers
    idf: Floats
    sublinear: bool

    def vectors(self, counts: SparseMatrix) -> SparseMatrix:
        """A vector of length 1 for each row; zero for a text without known words."""
        # Words counted after the weights were made have no column.
        known = np.append(self.columns, np.full(counts.width - len(self.columns), -1))
        places = known[counts.columns]
        kept = places >= 0
        columns, values = places[kept], counts.values[kept]
        weighted = self.idf[columns] * (1.0 + np.log(values) if self.sublinear else values)
        lengths = np.bincount(counts.rows[kept], minlength=counts.height)
        matrix = SparseMatrix(_starts(lengths), columns, weighted, len(self.idf))
        norms = np.sqrt(matrix.row_sums(weighted * weighted))
        return replace(matrix, values=weighted / np.repeat(norms, lengths))


def fit(
    counts: SparseMatrix,
    words: Sequence[str],
    *,
    max_words: int,
    min_texts: int = 1,
    sublinear: bool = False,
) -> TfidfWeights:
    """Weights of the words that are in at least `min_texts` rows, the most frequent `max_words`.

    Of equally frequent words the first by alphabet count.
    """
    texts_with = np.bincount(counts.columns, minlength=counts.width)
    kept = np.flatnonzero(texts_with >= min_texts)
    kept = np.array(sorted(kept.tolist(), key=words.__getitem__), dtype=np.intp)
    if len(kept) > max_words:
        totals = np.bincount(counts.columns, counts.values, counts.width)[kept]
        kept = kept[np.sort(np.argsort(-totals, kind="stable")[:max_words])]
    columns = np.full(counts.width, -1)
    columns[kept] = np.arange(len(kept))
    idf = np.log((1 + counts.height) / (1 + texts_with[kept])) + 1
    return TfidfWeights(columns, idf, sublinear)


class CountedTexts:
    """Words and pairs of words of texts that stay, counted once, to compare them with others.

    In little memory: a term is a number, the word's place by alphabet x (words + 1), plus 1 + the
    place of the word that follows it; plus 0 for a word alone. So terms sort as their texts do.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        found = [[numbers.setdefault(w, len(numbers)) for w in _words_of(text)] for text in texts]
        self._words = sorted(numbers)
        places = np.empty(len(numbers), np.int64)
        places[[numbers[word] for word in self._words]] = np.arange(len(numbers))
        words = places[np.array([number for one in found for number in one], np.int64)]
        rows = np.repeat(np.arange(len(texts)), [len(one) for one in found])
        first = np.flatnonzero(rows[1:] == rows[:-1])
        pairs = self._terms_of(words[first], words[first + 1])
        self._terms, columns = np.unique(
            np.concatenate([self._terms_of(words, np.int64(-1)), pairs]), return_inverse=True
        )
        width = max(1, len(self._terms))
        cells = np.concatenate([rows, rows[first]]) * width + columns
        cells, counts = np.unique(cells, return_counts=True)
        self._lengths = np.bincount(cells // width, minlength=len(texts))
        self._columns = (cells % width).astype(np.int32)
        self._counts = counts.astype(np.int32)

    def cosines(
        self, kept: NDArray[np.bool_], others: Sequence[str], *, max_words: int
    ) -> list[Floats] | None:
        """Of each of `others` with the texts that are `kept`, in the vectors that `fit` over all of
        these gives. None where there may be more than `max_words` terms.
        """
        counted = [_count(text, pairs=True) for text in others]
        columns = self._columns_by_term(sorted({term for one in counted for term in one}))
        width = max(len(self._terms), *(column + 1 for column in columns.values()), 0)
        if width > max_words:
            return None
        cells = np.repeat(kept, self._lengths)
        matrix = SparseMatrix(
            _starts(self._lengths[kept]),
            self._columns[cells].astype(np.intp),
            self._counts[cells].astype(np.float64),
            width,
        )
        texts_with = np.bincount(matrix.columns, minlength=width)
        for one in counted:
            texts_with[[columns[term] for term in one]] += 1
        idf = np.log((1 + matrix.height + len(others)) / (1 + texts_with)) + 1
        return _cosines(matrix, idf, [_row(one, columns, idf) for one in counted])

    def _columns_by_term(self, terms: Sequence[str]) -> dict[str, int]:
        """Terms that are in none of these texts get columns after all others."""
        numbers = np.array([self._number(term) for term in terms], np.int64)
        places = np.searchsorted(self._terms, numbers)
        known = np.append(self._terms, -1)[places] == numbers
        known &= numbers >= 0
        places[~known] = len(self._terms) + np.arange(np.count_nonzero(~known))
        return dict(zip(terms, places.tolist(), strict=True))

    def _number(self, term: str) -> int:
        """Of a term as text; -1 where a word is in none of these texts."""
        words = term.split(" ")
        places = [bisect_left(self._words, word) for word in words]
        if any(self._words[at : at + 1] != [w] for at, w in zip(places, words, strict=True)):
            return -1
        first, following = (*places, -1)[:2]
        return first * (len(self._words) + 1) + following + 1

    def _terms_of(self, words: Integers, following: Integers | np.int64) -> Integers:
        return words * (len(self._words) + 1) + following + 1


def _row(counted: Counter[str], columns: Mapping[str, int], idf: Floats) -> SparseMatrix:
    """One text by itself, weighed; by alphabet, as all others."""
    words = sorted(counted)
    places = np.array([columns[word] for word in words], np.intp)
    weights = idf[places] * np.array([counted[word] for word in words], np.float64)
    return SparseMatrix(_starts([len(words)]), places, weights, len(idf))


def _cosines(matrix: SparseMatrix, idf: Floats, others: Sequence[SparseMatrix]) -> list[Floats]:
    """Of each other row with each row of counts; both are divided by their lengths."""
    weighted = idf[matrix.columns] * matrix.values
    norms = np.sqrt(matrix.row_sums(weighted * weighted))
    wanted = np.zeros(matrix.width, np.bool_)
    for one in others:
        wanted[one.columns] = True
    cells = np.flatnonzero(wanted[matrix.columns])
    rows, columns = matrix.rows[cells], matrix.columns[cells]
    values = weighted[cells] / norms[rows]
    found = []
    for one in others:
        norm = np.sqrt(one.row_sums(one.values * one.values))
        dense = replace(one, values=one.values / norm).dense_row(0)
        sums = np.bincount(rows, values * dense[columns], matrix.height)
        found.append(sums.astype(np.float64))
    return found


def _starts(lengths: Sequence[int] | Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
