"""House rules, checked by reading the syntax trees of the source."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "newsletter").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BANNED_NAMES = {"utils", "helpers", "common", "base", "manager", "service"}
OLD_WORDS = re.compile(
    "afterword|courtesy|crew|desk|doors|fences|hostile|insisting|leading|lives|looking|noting|owing|"
    "patience|premises|pulse|restraint|roster|settling|signs|sweeper|symptoms|turns"
)
"""Private words of earlier versions. The glossary's word is one that a newcomer searches for."""


@functools.cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def all_nodes(path: Path) -> list[ast.AST]:
    """All nodes of a file's syntax tree."""
    return list(ast.walk(syntax_tree(path)))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its signature and docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_stay_under_500_lines():
    long = {p.name: n for p in PACKAGE if (n := len(p.read_text().splitlines())) > 500}
    assert not long


def test_a_listing_of_folders_explains_the_package():
    counts = Counter(path.parent for path in PACKAGE if path.name != "__init__.py")
    versions = ROOT / "newsletter" / "store" / "migrations" / "versions"
    assert counts[ROOT / "newsletter"] <= 10
    assert not {str(p): n for p, n in counts.items() if n > 40 and p != versions}


def test_a_public_class_has_a_name_of_its_own():
    places: dict[str, list[str]] = {}
    for path in PACKAGE:
        for node in syntax_tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def used_names(path: Path) -> set[str]:
    """What a file of the package uses, by full name: `newsletter.store.claims.claim`."""
    own, aliases, used = module_of(path), dict[str, str](), set[str]()
    for node in all_nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            full = {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
            aliases |= full
            used |= set(full.values())
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            used.add(f"{own}.{node.id}")
        elif isinstance(node, ast.Constant) and str(node.value).startswith("newsletter."):
            used.add(str(node.value).replace(":", "."))
    for node in all_nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.add(f"{aliases.get(node.value.id, node.value.id)}.{node.attr}")
    return used


def test_no_public_function_or_class_is_for_tests_alone():
    used = set[str]().union(*map(used_names, PACKAGE))
    declared = (ast.FunctionDef, ast.ClassDef)
    alone = [
        f"{module_of(path)}.{node.name}"
        for path in PACKAGE
        if "versions" not in path.parts and path.name != "env.py"
        for node in syntax_tree(path).body
        if isinstance(node, declared)
        and node.name[0] != "_"
        # A decorator may register a function: a command is called by its name.
        and not (isinstance(node, ast.FunctionDef) and node.decorator_list)
    ]
    assert alone
    assert not [name for name in alone if name not in used]


def test_functions_stay_under_40_lines():
    long = [
        f"{path.name}:{node.lineno} {node.name} {body_lines(node)}"
        for path in PACKAGE
        for node in all_nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 40
    ]
    assert not long


def test_the_package_has_one_broad_except():
    broad = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE
        for node in all_nodes(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert len(broad) == 1, broad
    assert broad[0].startswith("errors.py")


def test_files_are_named_by_what_they_hold():
    assert not [p.name for p in PACKAGE + TESTS if p.stem in BANNED_NAMES]


def words_of(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase."""
    return {w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def test_names_use_no_old_word():
    assert words_of("the_crewOfSMTPDesk_2") >= {"crew", "desk", "smtp", "2"}
    named = re.compile(r"^ *(?:async def|def|class) (\w+)", re.MULTILINE)
    found = {
        f"{path.relative_to(ROOT)} {name}"
        for path in PACKAGE + TESTS
        for name in (path.stem, *named.findall(path.read_text()))
        if any(map(OLD_WORDS.fullmatch, words_of(name)))
    }
    assert not found


def test_tests_use_no_mocks_and_short_conftests():
    pattern = re.compile(r"\bMagicMock\b|\bMock\(|unittest\.mock|\bpatch\(|monkeypatch\.setattr")
    found = [p.name for p in TESTS if p != Path(__file__) and pattern.search(p.read_text())]
    assert not found
    conftests = [path for path in TESTS if path.name == "conftest.py"]
    assert not [str(p) for p in conftests if len(p.read_text().splitlines()) > 150]


def test_one_place_says_what_is_never_shown():
    """A file that lists bidi or tag characters itself; only sanitize.py may."""
    listing = re.compile(r"202[aA]-|[eE]0000-")
    assert [p.name for p in PACKAGE if listing.search(p.read_text())] == ["sanitize.py"]


TERMINAL_WRITERS = ("console.py", "logs.py", "__main__.py")
"""These clean what they write to a terminal; all other files write through them."""
CONSTANT_OUTPUT = {"cli/app.py": 1}
"""Direct writes whose text is our own: the version."""


def test_terminal_output_is_cleaned_in_one_place():
    found = {}
    for path in PACKAGE:
        if path.name in TERMINAL_WRITERS:
            continue
        calls = [n for n in all_nodes(path) if isinstance(n, ast.Call)]
        calls_found = [name for call in calls if writes_to_terminal(name := ast.unparse(call.func))]
        if len(calls_found) != CONSTANT_OUTPUT.get(str(path.relative_to(ROOT / "newsletter")), 0):
            found[path.name] = calls_found
    assert not found


def writes_to_terminal(name: str) -> bool:
    """Whether a call writes to the terminal directly, not through `console.screen`."""
    if name in {"print", "Console", "typer.echo", "typer.secho", "click.echo", "rich.print"}:
        return True
    return name.startswith(("sys.stdout.", "sys.stderr.")) and "write" in name


def test_template_output_is_cleaned_in_one_place():
    """A Jinja environment without `finalize` prints untrusted text unchanged."""
    calls = [
        (path.name, call)
        for path in PACKAGE
        for call in all_nodes(path)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Environment")
    ]
    bare = [n for n, call in calls if "finalize" not in {word.arg for word in call.keywords}]
    # These two read template sources only; no value is printed by them.
    assert sorted(bare) == ["mjml.py", "templates.py"]


def test_what_is_named_in_text_is_there():
    """Adapters are named as `module:name`, which no type checker follows."""
    pattern = re.compile(r"\"(newsletter[.\w]+):(\w+)\"")
    named = [found for path in PACKAGE for found in pattern.findall(path.read_text())]
    assert len(named) > 8
    missing = [f"{m}:{n}" for m, n in named if not hasattr(importlib.import_module(m), n)]
    assert not missing


def run_time_imports(path: Path) -> set[str]:
    """Top-level packages a file imports at run time; TYPE_CHECKING blocks do not count."""
    tree = syntax_tree(path)
    guarded = [
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)
    ]
    only_types = {id(inner) for block in guarded for inner in ast.walk(block)}
    nodes = [node for node in all_nodes(path) if id(node) not in only_types]
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


def imported_modules(path: Path) -> set[str]:
    """Every module that a file names in an import, for types alone or not."""
    nodes = all_nodes(path)
    plain = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    return plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}


def test_the_domain_does_no_input_or_output():
    effects = {"sqlalchemy", "requests", "urllib", "threading", "socket"}
    pure = {"urllib.parse"}
    domain = [path for path in PACKAGE if path.parent.name == "domain"]
    assert domain
    found = {
        path.name: doing
        for path in domain
        if (doing := {m for m in imported_modules(path) - pure if m.split(".")[0] in effects})
    }
    assert not found


def test_one_file_imports_dbos():
    using = {
        str(path.relative_to(ROOT / "newsletter"))
        for path in PACKAGE
        if "dbos" in {module.split(".")[0] for module in imported_modules(path)}
    }
    assert using == {"jobs/dbos_engine.py"}


VENDORS = ["anthropic", "premailer", "sendgrid", "numpy", "mjml", "arxiv", "lxml", "jinja2"]
OTHERS = ["rich.progress", "newsletter.inbound.processor"]


@pytest.mark.parametrize(
    ("loaded", "heavy"),
    [
        ("newsletter.cli.app, newsletter.cli.groups", [*VENDORS, "sqlalchemy"]),
        ("newsletter.cli.status", [*VENDORS, *OTHERS]),
        ("newsletter.cli.rubrics", [*VENDORS, *OTHERS]),
        ("newsletter.cli.subscribers", [*VENDORS, *OTHERS]),
    ],
)
def test_a_command_loads_no_library_that_it_does_not_use(loaded, heavy):
    code = f"import sys, {loaded}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "[]"
