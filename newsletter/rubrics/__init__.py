"""Rubric files: Markdown with front matter, read into Rubric values, and the folder they are in."""
