"""How many small faults the tests notice: `python -m tests.bench.mutants [--count N] [--root DIR] [PACKAGE ...]`.

A mutant is the source with one fault: a comparison swapped, a statement left out, a constant one too large. From all
mutants of the packages (folders or files) a sample is drawn that depends on the seed and the source alone. The tests
run once under coverage, in a copy of the checkout, to learn which of them run which line and how long each takes. Each
mutant is then given to the tests that run its line, the fastest first: to a few, and if it survives them to as many
more as take half a minute. A failing test kills it, and so does a run that exceeds its time.

What runs only in other processes or in tests marked `no_cover` counts as not covered, and what is not covered as not
killed. A survivor may be equivalent to the source, that is, no fault: read it before you write a test.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeAlias

from coverage import CoverageData

from tests.bench.processes import ROOT

PACKAGES = ("handler/calls.py", "handler/mirror", "handler/vpc", "handler/web")
FIRST_TESTS = 40  # together they take little more than the start of pytest
MORE_SECONDS = 30.0
"""What the other tests may take together that see a survivor of the first."""
GRACE_SECONDS = 30.0
"""How much longer than in the run under coverage the tests of a mutant may take."""

SWAPPED: Mapping[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
DURATION = re.compile(r"^([\d.]+)s (?:setup|call|teardown) +(.+)$", re.MULTILINE)
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)

Fault: TypeAlias = tuple[ast.expr | ast.stmt, str]


@dataclass(frozen=True)
class Mutant:
    """One fault: `text` instead of the bytes from `start` to `end`."""

    file: str
    start: int
    end: int
    text: str
    change: str
    line: int
    lines: range
    """From the first of the statement to the last of the fault."""
    binds: frozenset[str] | None
    """The names that the statement binds when its module is imported; None within a function."""


@dataclass(frozen=True)
class Suite:
    """The tests that pass in the copy of the checkout, and what the run under coverage taught."""

    copy: Path
    seconds: Mapping[str, float]
    runs: Mapping[str, Mapping[int, set[str]]]
    """The tests that run a line, by file and number."""


def pytest(copy: Path, arguments: Sequence[str], limit: float | None = None) -> tuple[bool, str]:
    """Run tests in a process group of their own; return whether they passed within the limit, and what they printed."""
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", *arguments]
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            command, cwd=copy, env=environment(copy), stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(limit)
        passed = process.poll() == 0
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        printed.seek(0)
        return passed, printed.read()


def environment(copy: Path) -> Mapping[str, str]:
    """Return an environment in which the copy is imported, and not the checkout that is installed."""
    path = os.pathsep.join([str(copy), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def learn(copy: Path) -> Suite:
    """Run all tests once under coverage."""
    where = [sys.executable, "-c", "import handler; print(handler.__file__)"]
    imported = subprocess.check_output(where, cwd=copy.parent, env=environment(copy), text=True).strip()
    if Path(imported) != copy / "handler/__init__.py":
        sys.exit(f"not the copy is imported, but {imported}")
    coverage = ["--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    _, printed = pytest(copy, [*coverage, "-vv", "--durations=0", "-rfE"])
    seconds: defaultdict[str, float] = defaultdict(float)
    for duration, test in DURATION.findall(printed):
        seconds[test] += float(duration)
    failed = set(FAILED.findall(printed))
    print(f"{len(seconds)} tests, {sum(seconds.values()):.0f} s; left out, as they fail: {sorted(failed)}", flush=True)
    data = CoverageData(str(copy / ".coverage"))
    data.read()
    passing = {test: seconds[test] for test in seconds.keys() - failed}
    runs = {
        Path(file).relative_to(copy).as_posix(): {
            line: {context.rpartition("|")[0] for context in contexts} & passing.keys()
            for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    return Suite(copy, passing, runs)


def faults(node: ast.AST) -> Iterator[Fault]:
    """Yield the faults that a node can have: what is replaced, and by what."""
    match node:
        case ast.Compare(left, operators, right):
            for at, operator in enumerate(operators):
                swapped = [*operators[:at], SWAPPED[type(operator)](), *operators[at + 1 :]]
                yield node, f"({ast.unparse(ast.Compare(left, swapped, right))})"
        case ast.BoolOp(operator, values):
            yield node, f"({ast.unparse(ast.BoolOp(SWAPPED[type(operator)](), values))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.BinOp(left, operator, right) if type(operator) in SWAPPED and not is_text(left) | is_text(right):
            yield node, f"({ast.unparse(ast.BinOp(left, SWAPPED[type(operator)](), right))})"
        case ast.Constant(bool(value)):
            yield node, str(not value)
        case ast.Constant(int(value) | float(value)):
            yield node, repr(value + 1)
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and not value.value):
            yield node, "return None"
        case ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign():
            yield node, "pass"
        case ast.If(test):
            yield test, "False"


def is_text(node: ast.AST) -> bool:
    """Tell whether arithmetic is not meant: a text, or what is put together with one."""
    is_literal = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return is_literal or isinstance(node, ast.JoinedStr | ast.List | ast.Tuple)


def code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children that do something when the program runs: no types, no decorators."""
    match node:
        case ast.ClassDef(body=body):
            yield from body
        case ast.FunctionDef(args=arguments, body=body) | ast.AsyncFunctionDef(args=arguments, body=body):
            yield from (arguments, *body)
        case ast.arguments(defaults=defaults, kw_defaults=kw_defaults):
            yield from filter(None, (*defaults, *kw_defaults))
        case ast.AnnAssign(value=value):
            yield from filter(None, [value])
        case _:
            yield from ast.iter_child_nodes(node)


def walk(node: ast.AST, statement: ast.stmt, in_function: bool = False) -> Iterator[tuple[ast.stmt, bool, Fault]]:
    """Yield each fault in a node, its statement, and whether that is within a function."""
    match node:
        case ast.Assert() | ast.If(ast.Name("TYPE_CHECKING")) | ast.AnnAssign(annotation=ast.Name("TypeAlias")):
            return
        case ast.JoinedStr():  # before Python 3.12 its parts do not know where they are
            return
        case ast.stmt():
            statement = node
    for fault in faults(node):
        yield statement, in_function, fault
    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in code(node):
        yield from walk(child, statement, in_function or (is_function and not isinstance(child, ast.arguments)))


def bound(statement: ast.stmt) -> frozenset[str]:
    """Return the names that a statement binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return frozenset([statement.name])
    names = (each for each in ast.walk(statement) if isinstance(each, ast.Name))
    return frozenset(name.id for name in names if isinstance(name.ctx, ast.Store))


def mutants_of(root: Path, file: str) -> Iterator[Mutant]:
    """Yield all mutants of a file."""
    source = (root / file).read_bytes()
    starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
    for top in ast.parse(source).body:
        for statement, in_function, (node, text) in walk(top, top):
            last = node.end_lineno or node.lineno
            start, end = starts[node.lineno - 1] + node.col_offset, starts[last - 1] + (node.end_col_offset or 0)
            change = " ".join(f"`{source[start:end].decode()}` -> `{text}`".split())
            binds = None if in_function else bound(statement)
            yield Mutant(file, start, end, text, change, node.lineno, range(statement.lineno, last + 1), binds)


def sample(root: Path, packages: Sequence[str], excluded: str, count: int, seed: int) -> Mapping[str, list[Mutant]]:
    """Choose mutants of each package, in proportion to its lines."""
    found = [sorted((root / package).rglob("*.py")) or [root / package] for package in packages]
    files = [[file for file in each if not (excluded and file.match(excluded))] for each in found]
    lines = [sum(len(file.read_bytes().splitlines()) for file in each) for each in files]
    shares = pairwise(round(count * up_to / sum(lines)) for up_to in accumulate(lines, initial=0))
    chosen = {}
    for package, (first, last), each in zip(packages, shares, files, strict=True):
        mutants = [mutant for file in each for mutant in mutants_of(root, file.relative_to(root).as_posix())]
        mutants.sort(key=lambda mutant: random.Random(f"{seed} {mutant.file} {mutant.start} {mutant.text}").random())
        chosen[package] = sorted(mutants[: last - first], key=lambda mutant: (mutant.file, mutant.start))
        print(f"{package}: {last - first} of {len(mutants)} mutants", flush=True)
    return chosen


def tests_of(mutant: Mutant, suite: Suite) -> list[str]:
    """Return the tests that run the mutant's line, or use what it binds; the fastest first."""
    runs = suite.runs.get(mutant.file, {})
    if mutant.binds is None:
        tests = {test for line in mutant.lines for test in runs.get(line, ())}
    else:
        used = re.compile(rf"\b({'|'.join(mutant.binds) or '(?!)'})\b")
        tests = {
            test
            for file, by_line in suite.runs.items()
            for line, text in enumerate((suite.copy / file).read_text().splitlines(), start=1)
            if used.search(text)
            for test in by_line.get(line, ())
        } or {test for tests in runs.values() for test in tests}
    return sorted(tests, key=lambda test: (suite.seconds[test], test))


def outcome_of(mutant: Mutant, tests: Sequence[str], suite: Suite) -> str:
    """Put the fault into the copy, run the tests, and take it out again."""
    if not tests:
        return "not covered"
    first, others = tests[:FIRST_TESTS], tests[FIRST_TESTS:]
    reached = accumulate(suite.seconds[test] for test in others)
    more = [test for test, seconds in zip(others, reached, strict=True) if seconds <= MORE_SECONDS]
    file = suite.copy / mutant.file
    source = file.read_bytes()
    file.write_bytes(source[: mutant.start] + mutant.text.encode() + source[mutant.end :])
    try:
        return "survived" if passes(first, suite) and (not more or passes(more, suite)) else "killed"
    finally:
        file.write_bytes(source)


def passes(tests: Sequence[str], suite: Suite) -> bool:
    """Run some tests up to the first that fails."""
    limit = GRACE_SECONDS + sum(suite.seconds[test] for test in tests)
    return pytest(suite.copy, ["-x", "-q", *tests], limit)[0]


def measure(chosen: Mapping[str, Sequence[Mutant]], suite: Suite) -> None:
    """Try each mutant; print those that live, and the sums."""
    tests = {mutant: tests_of(mutant, suite) for mutants in chosen.values() for mutant in mutants}
    if not passes(sorted({test for each in tests.values() for test in each[:FIRST_TESTS]}), suite):
        sys.exit("tests fail without a mutant, too, when they are chosen by name")
    counts = {package: Counter[str]() for package in chosen}
    for package, mutants in chosen.items():
        for mutant in mutants:
            outcome = outcome_of(mutant, tests[mutant], suite)
            counts[package][outcome] += 1
            if outcome != "killed":
                print(f"{mutant.file}:{mutant.line}: {mutant.change}: {outcome}", flush=True)
    for package, count in {**counts, "in all": sum(counts.values(), Counter[str]())}.items():
        share, uncovered = count["killed"] / max(1, count.total()), count["not covered"]
        print(f"{package}: killed {count['killed']} of {count.total()} ({share:.0%}), not covered {uncovered}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", default=PACKAGES, metavar="PACKAGE")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout")
    parser.add_argument("--count", type=int, default=200, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--exclude", default="", metavar="GLOB", help="files of the packages that are not measured")
    asked = parser.parse_args()
    chosen = sample(asked.root, asked.packages, asked.exclude, asked.count, asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve() / "copy"
        shutil.copytree(asked.root, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__"))
        measure(chosen, learn(copy))


if __name__ == "__main__":
    main()
