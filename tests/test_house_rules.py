"""The budgets of the house, kept by reading the source."""

from __future__ import annotations

import ast
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
    assert broad[0].startswith("daily.py")


def test_files_are_named_by_what_they_hold():
    assert not [p.name for p in PACKAGE + TESTS if p.stem in BANNED_NAMES]


def test_tests_use_small_worlds_and_no_mocks():
    pattern = re.compile(r"\bMagicMock\b|\bMock\(|unittest\.mock|\bpatch\(|monkeypatch\.setattr")
    found = [p.name for p in TESTS if p != Path(__file__) and pattern.search(p.read_text())]
    assert not found
    conftest = ROOT / "tests" / "conftest.py"
    assert len(conftest.read_text().splitlines()) <= 60


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
    code = f"import sys, newsletter.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
