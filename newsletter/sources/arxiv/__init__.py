"""Papers from the arXiv API, checked against arXiv's feed."""
