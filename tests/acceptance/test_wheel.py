"""The wheel holds all that running needs. `make check-wheel` installs it and runs the demo."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEITHER = shutil.ignore_patterns("__pycache__", "*.pyc")
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without network by the setuptools of the lock."""
    source = tmp_path_factory.mktemp("source")
    for name in ("newsletter", "templates"):
        shutil.copytree(ROOT / name, source / name, ignore=NEITHER)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-c", BUILD, "dist"],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=600,
    )
    (made,) = (source / "dist").glob("*.whl")
    return made


def files_of(folder: str) -> set[str]:
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(p.relative_to(ROOT)) for p in found if "__pycache__" not in p.parts}


def test_the_wheel_holds_every_file_of_the_package_and_its_templates(wheel):
    templates = {f"newsletter/{name}" for name in files_of("templates")}
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if ".dist-info/" not in name}
    assert held == files_of("newsletter") | templates


def test_templates_are_found_inside_an_installed_package(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    code = "from newsletter.render.templates import template_folder; print(template_folder('web'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == str(tmp_path / "newsletter" / "templates" / "web")
    assert (tmp_path / "newsletter" / "templates" / "web" / "base.html").is_file()
