"""How many small faults in a module the tests notice: a seeded sample, made by Cosmic Ray.

Run by `make mutants`. `bench/mutants.toml` names the modules, and the tests of each. A place in a
module is drawn first, then one of the faults that are possible there. Faults that no interpreter
would read, and those in types, are not drawn; faults that change nothing are.

Everything happens in a copy of the project. What was found is kept in build/mutants: `--survivors`
tries only the faults again that no test noticed then, where the module is still the same.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from cosmic_ray.commands import execute, init
from cosmic_ray.config import ConfigDict
from cosmic_ray.mutating import mutate_and_test, mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cosmic_ray.work_item import MutationSpec, WorkItem

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "mutants"
WANTED = 0.85
LEAST_TIMEOUT, TIMES_AS_LONG = 60.0, 5
Place = tuple[int, int]


def copy_project(target: Path) -> None:
    """Every file that git knows or would take, as it is now."""
    listed = subprocess.run(  # noqa: S603
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def annotations(source: str) -> list[tuple[Place, Place]]:
    """Where the types of a module begin and end, which no run looks at."""
    types: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        types += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            types.append(node)
    return [
        ((one.lineno, one.col_offset), (one.end_lineno, one.end_col_offset)) for one in types if one
    ]


def is_readable(source: str, fault: MutationSpec) -> bool:
    """Whether the module with the fault in it can be compiled at all."""
    operator = get_operator(fault.operator_name)(**fault.operator_args)
    try:
        ast.parse(mutate_code(source, operator, fault.occurrence) or "(")
    except SyntaxError:
        return False
    return True


def drawn(items: Sequence[WorkItem], source: str, many: int, seed: str) -> set[str]:
    """The ids of `many` faults, each in a place of its own."""
    typed = annotations(source)
    places: defaultdict[tuple[Place, str], list[WorkItem]] = defaultdict(list)
    for item in sorted(items, key=lambda one: one.mutations[0].operator_name):
        [fault] = item.mutations
        at = tuple(fault.start_pos)
        if not any(begin <= at < end for begin, end in typed):
            places[at, fault.operator_name.split("_")[0]].append(item)
    dice = random.Random(seed)  # noqa: S311
    chosen: set[str] = set()
    for place in dice.sample(sorted(places), len(places)):
        item = dice.choice(places[place])
        if len(chosen) < many and is_readable(source, item.mutations[0]):
            chosen.add(item.job_id)
    return chosen


def prepare(db: WorkDB, module: str, many: int, seed: int) -> None:
    """Draw the faults of a module; all others are marked as left out."""
    source = Path(module).read_text(encoding="utf-8")
    init([Path(module)], db, {})
    items = db.work_items
    chosen = drawn(items, source, many, f"{seed} {module}")
    left_out = [item.job_id for item in items if item.job_id not in chosen]
    db.set_multiple_results(left_out, WorkResult(WorkerOutcome.SKIPPED))


def tried(db: WorkDB) -> Iterator[tuple[WorkItem, WorkResult]]:
    for item, result in db.completed_work_items:
        if result.worker_outcome is not WorkerOutcome.SKIPPED:
            yield item, result


def try_again(db: WorkDB, command: str, timeout: float) -> None:
    """The faults that no test noticed, with the tests of today."""
    for item, result in list(tried(db)):
        if result.test_outcome is TestOutcome.SURVIVED:
            db.set_result(item.job_id, mutate_and_test(item.mutations, command, timeout))


def run(module: str, tests: Sequence[str], args: argparse.Namespace) -> tuple[int, int]:
    """How many faults of the module were noticed, of how many."""
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
    command = shlex.join([args.python, "-m", "pytest", *arguments])
    began = time.monotonic()
    subprocess.run(shlex.split(command), check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    timeout = max(LEAST_TIMEOUT, TIMES_AS_LONG * (time.monotonic() - began))
    kept = KEPT / f"{module.replace('/', '.')}.sqlite"
    source, known = Path(module).read_text(encoding="utf-8"), kept.with_suffix(".txt")
    same = known.is_file() and known.read_text(encoding="utf-8") == source
    known.write_text(source, encoding="utf-8")
    with use_db(str(kept)) as db:
        if args.survivors and same and db.num_work_items:
            try_again(db, command, timeout)
        else:
            prepare(db, module, args.faults, args.seed)
            settings = {"test-command": command, "timeout": timeout}
            execute(db, ConfigDict(settings | {"distributor": {"name": "local"}}))
        results = [result for _, result in tried(db)]
        survived = [one for one in results if one.test_outcome is TestOutcome.SURVIVED]
    for one in survived:
        changed = [line for line in one.diff.splitlines() if line[:1] in "-+@"]
        print("\n".join(changed), file=sys.stderr, flush=True)
    return len(results) - len(survived), len(results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="the interpreter that runs the tests")
    parser.add_argument("--faults", type=int, default=20, help="how many in each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="modules; all where none is named")
    parser.add_argument("--survivors", action="store_true", help="what was not noticed last time")
    args = parser.parse_args()
    args.python = str(Path(args.python).absolute())
    modules = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["modules"]
    KEPT.mkdir(parents=True, exist_ok=True)
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        copy_project(Path(folder))
        os.chdir(folder)
        os.environ["PYTHONPATH"] = folder
        for module in args.only or modules:
            noticed, every = run(module, modules[module], args)
            missed |= noticed < WANTED * every
            print(f"{module:32} {noticed:3} of {every:3}  {noticed / every:4.0%}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
