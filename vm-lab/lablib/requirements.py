# SPDX-License-Identifier: Apache-2.0
"""The table requirement -> tests: tests/requirements.tsv, checked by the build, and docs/requirements.md made from it.

Every id is in the table. A test that the table names exists, and each Java test class and script of a whole `lab protocol`
is named there, else the check fails. An id without a test is not hidden: the page lists it as "none yet".
"""

import re
from dataclasses import dataclass
from pathlib import Path

from . import host
from .errors import CheckFailed

TABLE = host.CHECKOUT / "tests" / "requirements.tsv"
PAGE = host.CHECKOUT / "docs" / "requirements.md"

GROUPS = {"U": (12, "What a user sees"), "K": (11, "Kernel module"), "F": (8, "Fencing"), "D": (3, "Discovery and identity"),
          "J": (5, "Journaling and recovery"), "P": (4, "When things go badly wrong"), "L": (6, "The lab"),
          "N": (5, "The native layer and the daemon")}
IDS = [f"{letter}{number}" for letter, (count, _) in GROUPS.items() for number in range(1, count + 1)]


@dataclass(frozen=True)
class Row:
    id: str
    title: str
    covered: str          # all, part, none
    tests: tuple[str, ...]
    missing: str


def rows() -> list[Row]:
    """The table's lines: id, title, covered, tests (separated by commas), what is missing; separated by tabs."""
    found = []
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 5:
            raise CheckFailed(f"{TABLE}:{number}: {len(fields)} fields separated by tabs, 5 wanted",
                              "id, title, covered (all|part|none), tests, missing; '-' for nothing")
        id_, title, covered, tests, missing = (field.strip() for field in fields)
        names = tuple(name.strip() for name in tests.split(",") if name.strip() not in ("", "-"))
        found.append(Row(id_, title, covered, names, "" if missing == "-" else missing))
    return found


def problems() -> list[str]:
    """What is wrong with the table, one line each; nothing when all is well."""
    table = rows()
    found = []
    seen = [row.id for row in table]
    found += [f"{id_} is not in the table" for id_ in IDS if id_ not in seen]
    found += [f"{id_} is in the table, and there is no such requirement" for id_ in seen if id_ not in IDS]
    found += [f"{id_} is in the table twice" for id_ in sorted({id_ for id_ in seen if seen.count(id_) > 1})]
    for row in table:
        if row.covered not in ("all", "part", "none"):
            found.append(f"{row.id}: covered is '{row.covered}'; all, part or none")
        if (row.covered == "none") != (not row.tests):
            found.append(f"{row.id}: covered is '{row.covered}' with {len(row.tests)} tests")
        if (row.covered == "all") != (not row.missing):
            found.append(f"{row.id}: covered is '{row.covered}', and what is missing: '{row.missing or '-'}'")
        found += [f"{row.id}: {why}" for test in row.tests if (why := _absent(test))]
    found += _in_no_row({test.partition("#")[0] for row in table for test in row.tests})
    if not found and (not PAGE.exists() or PAGE.read_text() != page()):
        found.append(f"{PAGE.relative_to(host.CHECKOUT)} is not what the table says: run 'vm-lab/lab requirements --write'")
    return found


def _in_no_row(named: set[str]) -> list[str]:
    """Tests that no requirement asks for: nobody would miss them, and nobody knows what they are there for."""
    from . import protocol
    classes = {file.stem for file in _java_tests("*Test")}
    return [f"{test} is a test of no requirement" for test in sorted({f"java:{name}" for name in classes} - named)
            + [f"protocol:{name}" for name in protocol.names() if f"protocol:{name}" not in named]]


def _java_tests(class_: str) -> list[Path]:
    return [file for depth in ("*", "*/*") for file in host.CHECKOUT.glob(f"{depth}/src/test/java/**/{class_}.java")]


def _absent(test: str) -> str | None:
    """Why a test's name names nothing, or None when it exists."""
    kind, _, name = test.partition(":")
    if kind == "java":
        class_, _, method = name.partition("#")
        files = _java_tests(class_)
        if not files:
            return f"no Java test class {class_}"
        if method and not any(re.search(rf"\bvoid {re.escape(method)}\(", file.read_text()) for file in files):
            return f"{class_} has no test {method}"
    elif kind == "protocol":
        from . import protocol
        if name not in protocol.names() or not (protocol.FOLDER / f"{name}.py").exists():
            return f"'lab protocol' has no {name}"
    elif kind == "c":
        if not (host.CHECKOUT / "tests/c" / f"{name}.c").exists():
            return f"no tests/c/{name}.c"
    elif kind == "bench":
        from . import bench
        if name not in bench.names():
            return f"'lab bench' has no {name}"
    elif kind == "check":
        from . import test as suites
        if name not in suites.CHECKS:
            return f"'lab test' has no check {name}"
    elif test != "demo":
        return f"'{test}': demo, java:CLASS[#METHOD], protocol:NAME, c:PROGRAM, bench:NAME or check:NAME"
    return None


def page() -> str:
    lines = ["<!-- SPDX-License-Identifier: Apache-2.0 -->", "<!-- Made by 'vm-lab/lab requirements --write' from tests/requirements.tsv. -->",
             "# Requirements and their tests", "",
             "`lab test` fails when a requirement is missing here, a test named here does not exist, or a Java test class or a script of "
             "`lab protocol` is named nowhere here.", ""]
    by_id = {row.id: row for row in rows()}
    for letter, (count, title) in GROUPS.items():
        lines += [f"## {letter}: {title}", "", "| id | requirement | covered | tests | not yet |", "| --- | --- | --- | --- | --- |"]
        for number in range(1, count + 1):
            row = by_id[f"{letter}{number}"]
            tests = ", ".join(f"`{test}`" for test in row.tests) or "none yet"
            lines.append(f"| {row.id} | {row.title} | {row.covered} | {tests} | {row.missing} |")
        lines.append("")
    lines += ["`java:` a JUnit test; `c:` a program in `tests/c`, run on a mounted volume by `lab protocol`; `protocol:` `lab protocol NAME`; "
              "`bench:` `lab bench NAME`; `check:` a check of `lab test`; `demo` is `lab demo`.", ""]
    return "\n".join(lines)
