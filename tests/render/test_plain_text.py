from __future__ import annotations

from newsletter.render.plain_text import flow, rows, tidy, unwrapped


def test_lines_have_72_columns_and_links_stay_whole():
    link = "https://news.example/" + "a" * 90
    lines = flow(f"{'word ' * 30}{link} {'word ' * 20}", indent=4).splitlines()
    assert f"    {link}" in lines
    assert all(line.startswith("    ") for line in lines)
    assert all(len(line) <= 72 for line in lines if "://" not in line)


def test_the_later_lines_of_an_entry_hang():
    assert flow("12. " + "word " * 20, hang=4).splitlines()[1].startswith("    word")


def test_an_endless_word_is_cut():
    assert [len(line) for line in flow("x" * 130).splitlines()] == [60, 71]


def test_every_row_is_wrapped_for_itself():
    assert rows("one\ntwo", 2) == "  one\n  two"


def test_no_line_starts_a_signature_and_blank_lines_do_not_pile_up():
    assert tidy("a  \n\n\n\n-- \nb\n\n") == "a\n\n—\nb\n"


def test_a_title_that_looks_like_markup_is_no_tag():
    assert tidy("if a<b, <script>x</script> < 3") == "if a< b, < script>x< /script> < 3\n"


def test_the_line_ends_of_an_editor_are_undone():
    long = "a line that goes on until the editor broke it, somewhere near here"
    source = f"## Head\n{long}\nand its end.\n\n- {long}\n  and its end\n- two\nshort\nlines\n"
    assert unwrapped(source) == (
        f"## Head\n{long} and its end.\n\n- {long} and its end\n- two\nshort\nlines"
    )
