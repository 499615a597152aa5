"""The budgets of the house, kept by reading the source."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "newsletter").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BANNED_NAMES = {"utils", "helpers", "common", "base", "manager", "service"}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its signature and docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_stay_under_500_lines():
    long = {p.name: n for p in PACKAGE if (n := len(p.read_text().splitlines())) > 500}
    assert not long


def test_functions_stay_under_40_lines():
    long = [
        f"{path.name}:{node.lineno} {node.name} {body_lines(node)}"
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 40
    ]
    assert not long


def test_the_package_has_one_broad_except():
    broad = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert len(broad) == 1, broad
    assert broad[0].startswith("errors.py")


def test_files_are_named_by_what_they_hold():
    assert not [p.name for p in PACKAGE + TESTS if p.stem in BANNED_NAMES]


def test_tests_use_small_worlds_and_no_mocks():
    pattern = re.compile(r"\bMagicMock\b|\bMock\(|unittest\.mock|\bpatch\(|monkeypatch\.setattr")
    found = [p.name for p in TESTS if p != Path(__file__) and pattern.search(p.read_text())]
    assert not found
    conftest = ROOT / "tests" / "conftest.py"
    assert len(conftest.read_text().splitlines()) <= 60


def test_one_place_says_what_is_never_shown():
    """Bidi and tag characters, by which a forgotten list of our own is known."""
    listing = re.compile(r"202[aA]-|[eE]0000-")
    assert [p.name for p in PACKAGE if listing.search(p.read_text())] == ["sanitize.py"]


SPEAKS = ("console.py", "logs.py", "__main__.py")
"""These clean what they write to a terminal; everybody else writes through them."""
OWN_WORDS = {"cli/app.py": 1}
"""Calls that say nothing from outside: the version."""


def test_all_that_a_terminal_shows_is_cleaned_in_one_place():
    found = {}
    for path in PACKAGE:
        if path.name in SPEAKS:
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
        said = [name for call in calls if to_terminal(name := ast.unparse(call.func))]
        if len(said) != OWN_WORDS.get(str(path.relative_to(ROOT / "newsletter")), 0):
            found[path.name] = said
    assert not found


def to_terminal(name: str) -> bool:
    """Whether a call writes to a terminal by itself, and not by way of a screen."""
    if name in {"print", "Console", "typer.echo", "typer.secho", "click.echo", "rich.print"}:
        return True
    return name.startswith(("sys.stdout.", "sys.stderr.")) and "write" in name


def test_all_that_templates_show_is_cleaned_in_one_place():
    """An environment without `finalize` shows text from outside as it is."""
    calls = [
        (path.name, call)
        for path in PACKAGE
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Environment")
    ]
    bare = [n for n, call in calls if "finalize" not in {word.arg for word in call.keywords}]
    # One joins our own files, one reads how they are written: no value comes to either.
    assert sorted(bare) == ["mjml.py", "templates.py"]


def test_what_is_named_in_text_is_there():
    """Adapters are named as `module:name`, which no type checker follows."""
    pattern = re.compile(r"\"(newsletter[.\w]+):(\w+)\"")
    named = [found for path in PACKAGE for found in pattern.findall(path.read_text())]
    assert len(named) > 8
    missing = [f"{m}:{n}" for m, n in named if not hasattr(importlib.import_module(m), n)]
    assert not missing


def run_time_imports(path: Path) -> set[str]:
    """The top-level packages a file imports when it runs; types alone do not count."""
    tree = ast.parse(path.read_text())
    guarded = [
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    ]
    only_types = {id(inner) for block in guarded for inner in ast.walk(block)}
    nodes = [node for node in ast.walk(tree) if id(node) not in only_types]
    plain = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    parts = {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | parts}


def test_sql_is_in_the_store_alone():
    outside = [p.name for p in PACKAGE if "store" not in p.parts]
    assert outside
    using = [
        p.name for p in PACKAGE if "store" not in p.parts and "sqlalchemy" in run_time_imports(p)
    ]
    assert not using


def test_the_command_line_does_not_pay_for_vendor_libraries():
    heavy = ["anthropic", "premailer", "sendgrid", "sklearn", "mjml", "sqlalchemy", "arxiv"]
    loaded = "newsletter.cli.app, newsletter.cli.groups"
    code = f"import sys, {loaded}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
