from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.domain import tfidf
from newsletter.domain.tfidf import STOP_WORDS

TEXTS = [
    "Low-bit quantization of language models; quantization again",
    "The language of galaxies: dark matter, and matter",
    "",
    "the of and",
    "naïve Straße ΣΑΣ x1 x_2 a b",
    "Galaxies and language models",
]
FRESH = ["language language unseen galaxies", "unseen", ""]


def dense(matrix: tfidf.SparseMatrix) -> np.ndarray:
    return np.array([matrix.dense_row(row) for row in range(matrix.height)])


def counts_of(texts: list[str]) -> tuple[tfidf.WordCounts, tfidf.SparseMatrix]:
    words = tfidf.WordCounts()
    for place, text in enumerate(texts):
        words.add(str(place), text)
    return words, words.matrix(str(place) for place in range(len(texts)))


@pytest.mark.parametrize("sublinear", [True, False])
@pytest.mark.parametrize("min_texts", [1, 2])
def test_vectors_equal_those_of_scikit_learn(min_texts: int, *, sublinear: bool) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    peer = TfidfVectorizer(stop_words="english", sublinear_tf=sublinear, min_df=min_texts)
    expected = peer.fit_transform(TEXTS).toarray()
    words, counts = counts_of(TEXTS)
    weights = tfidf.fit(
        counts, words.words, max_words=100, min_texts=min_texts, sublinear=sublinear
    )
    assert dense(weights.vectors(counts)) == pytest.approx(expected, abs=1e-9)
    fresh = weights.vectors(words.matrix([], FRESH))
    assert dense(fresh) == pytest.approx(peer.transform(FRESH).toarray(), abs=1e-9)


def test_pairs_of_words_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    peer = TfidfVectorizer(stop_words="english", ngram_range=(1, 2))
    expected = peer.fit_transform(TEXTS).toarray()
    words = tfidf.WordCounts().with_pairs
    counts = words.matrix([], TEXTS)
    vectors = tfidf.fit(counts, words.words, max_words=100).vectors(counts)
    assert sorted(words.words) == list(peer.get_feature_names_out())
    assert dense(vectors) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.text(alphabet="aàbB _-1.\n", max_size=30), min_size=1, max_size=8))
def test_any_text_gives_the_vector_of_scikit_learn(texts: list[str]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [*texts, "galaxies"]
    expected = TfidfVectorizer(stop_words="english").fit_transform(texts).toarray()
    words, counts = counts_of(texts)
    vectors = tfidf.fit(counts, words.words, max_words=100).vectors(counts)
    assert dense(vectors) == pytest.approx(expected, abs=1e-9)


def test_the_most_frequent_words_are_kept_of_equal_ones_the_first_by_alphabet() -> None:
    texts = ["zeta zeta zeta beta alpha delta delta", "gamma delta"]
    words, counts = counts_of(texts)
    two = tfidf.fit(counts, words.words, max_words=2).vectors(counts)
    from sklearn.feature_extraction.text import TfidfVectorizer

    peer = TfidfVectorizer(stop_words="english", max_features=2)
    assert dense(two) == pytest.approx(peer.fit_transform(texts).toarray(), abs=1e-9)
    three = tfidf.fit(counts, words.words, max_words=3)
    assert [words.words[column] for column in np.flatnonzero(three.columns >= 0)] == [
        "alpha",
        "delta",
        "zeta",
    ]


def test_shared_counts_change_no_vector() -> None:
    alone, counts = counts_of(TEXTS[:2])
    own = tfidf.fit(counts, alone.words, max_words=100).vectors(counts)
    shared, _ = counts_of([*TEXTS[::-1], "more words", *TEXTS[:2]])
    counts = shared.matrix(["7", "8"])
    among_others = tfidf.fit(counts, shared.words, max_words=100).vectors(counts)
    assert np.array_equal(own.values, among_others.values)
    assert np.array_equal(own.columns, among_others.columns)


def test_a_text_is_tokenized_once() -> None:
    words = tfidf.WordCounts()
    words.add("1", "galaxies")
    words.add("1", "other words")
    assert words.words == ["galaxies"]


def test_texts_without_words_have_zero_vectors() -> None:
    words, counts = counts_of(["the of", ""])
    vectors = tfidf.fit(counts, words.words, max_words=5).vectors(counts)
    assert (vectors.height, vectors.width, len(vectors.values)) == (2, 0, 0)
    assert vectors.dot(np.zeros(0)).tolist() == [0.0, 0.0]


def test_products_equal_those_of_dense_matrices() -> None:
    random = np.random.default_rng(1)
    whole = np.where(random.random((7, 5)) < 0.4, random.random((7, 5)), 0.0)
    whole[[0, 3, 6]] = 0.0
    rows, columns = np.nonzero(whole)
    starts = np.searchsorted(rows, np.arange(8))
    matrix = tfidf.SparseMatrix(starts, columns, whole[rows, columns], 5)
    across, down = random.random(5), random.random(7)
    assert matrix.dot(across) == pytest.approx(whole @ across)
    assert matrix.transposed().dot(down) == pytest.approx(whole.T @ down)


def test_stop_words_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    assert STOP_WORDS == ENGLISH_STOP_WORDS


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [1, 2, 5], [3], []])
def test_cosines_of_texts_counted_once_are_those_of_all_vectors(kept: list[int]) -> None:
    counted = tfidf.CountedTexts(TEXTS)
    chosen = np.isin(np.arange(len(TEXTS)), kept)
    words = tfidf.WordCounts().with_pairs
    counts = words.matrix([], [*(TEXTS[place] for place in kept), *FRESH])
    vectors = dense(tfidf.fit(counts, words.words, max_words=100).vectors(counts))
    expected = vectors[len(kept) :] @ vectors[: len(kept)].T
    found = counted.cosines(chosen, FRESH, max_words=100)
    assert found is not None
    assert np.array(found) == pytest.approx(expected, abs=1e-12)


def test_cosines_need_all_terms() -> None:
    """Four terms of the one text, and two of the other: unseen, and unseen galaxies."""
    counted, kept = tfidf.CountedTexts(["matter matter galaxies"]), np.array([True])
    assert counted.cosines(kept, ["unseen galaxies"], max_words=6) is not None
    assert counted.cosines(kept, ["unseen galaxies"], max_words=5) is None
