from __future__ import annotations

from newsletter.render.plain_text import tidy, wrap, wrap_lines


def test_lines_have_72_columns_and_urls_are_not_broken():
    link = "https://news.example/" + "a" * 90
    lines = wrap(f"{'word ' * 30}{link} {'word ' * 20}", indent=4).splitlines()
    assert f"    {link}" in lines
    assert all(line.startswith("    ") for line in lines)
    assert all(len(line) <= 72 for line in lines if "://" not in line)


def test_later_lines_of_an_entry_are_indented():
    assert wrap("12. " + "word " * 20, hang=4).splitlines()[1].startswith("    word")


def test_a_very_long_word_is_broken():
    assert [len(line) for line in wrap("x" * 130).splitlines()] == [60, 71]


def test_every_line_is_wrapped_on_its_own():
    assert wrap_lines("one\ntwo", 2) == "  one\n  two"


def test_signature_lines_and_repeated_blank_lines_are_removed():
    assert tidy("a  \n\n\n\n-- \nb\n\n") == "a\n\n—\nb\n"


def test_tags_in_a_title_are_broken():
    assert tidy("if a<b, <script>x</script> < 3") == "if a< b, < script>x< /script> < 3\n"
