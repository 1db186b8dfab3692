# SPDX-License-Identifier: Apache-2.0
"""`lab test`: every test there is, and one last line `N passed, N failed`.

The builds and static checks of Java and C run side by side, for they share nothing; then the machines: the protocol,
and the demo last, alone, because it measures. No test is skipped: what cannot run has failed.
"""

import fnmatch
import re
import subprocess
import threading
import time
import tomllib
import traceback
import xml.etree.ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from . import build, demo, host, image, install, jdk, lockstate_check, model as spin, packages as debian, progress, requirements, scan_check
from .errors import CheckFailed, LabError

_screen = threading.Lock()


@dataclass
class Suite:
    """Results of one suite; a line is printed as soon as it is known."""

    name: str
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, what: str, passed: int, failed: int = 0, why: str = "", seconds: float | None = None) -> None:
        self.passed += passed
        self.failed += failed
        if failed:
            self.failures.append(f"{what}: {why}")
        counts = f"{passed} passed, {failed} failed" if passed + failed != 1 else "passed" if passed else "FAILED"
        with _screen:
            print(f"{self.name:<9} {what:<44} {counts}{f' ({seconds:.1f} s)' if seconds is not None else ''}", flush=True)
            if why:
                print("    " + why.strip().replace("\n", "\n    "), flush=True)

    def check(self, what: str, action: Callable[[], object]) -> bool:
        """One check: passed unless the action raises a LabError, whose text is the reason."""
        start = time.monotonic()
        try:
            action()
        except LabError as error:
            self.add(what, 0, 1, str(error), time.monotonic() - start)
            return False
        self.add(what, 1, seconds=time.monotonic() - start)
        return True


def run(parts: list[str], seed: int | None = None) -> int:
    """Runs the parts (all when none is named); returns how many tests failed."""
    began = time.monotonic()
    wanted = parts or [name for name in PARTS if name not in BY_NAME]
    host.install_packages()
    suites = {name: Suite(name) for name in PARTS if name in wanted}

    def go(name: str) -> None:
        suite, start = suites[name], time.monotonic()
        try:
            PARTS[name](suite, seed)
        except LabError as error:
            suite.add("could not run to its end", 0, 1, str(error))
        except Exception:  # a fault of the lab itself must not look like fewer tests
            suite.add("could not run to its end", 0, 1, traceback.format_exc())
        suite.seconds = time.monotonic() - start

    # Daemon threads: an interrupted run does not wait for Maven, which ends with its parent (setpriv --pdeathsig).
    beside = [threading.Thread(target=go, args=(name,), name=name, daemon=True) for name in ("java",) if name in suites]
    for thread in beside:
        thread.start()
    for name in ("docs", "c", "model"):
        if name in suites:
            go(name)
    for thread in beside:
        thread.join()
    for name in ("packages", "install", "protocol", "demo"):
        if name in suites:
            go(name)

    passed, failed = sum(suite.passed for suite in suites.values()), sum(suite.failed for suite in suites.values())
    print(f"\n{'suite':<10} {'passed':>7} {'failed':>7} {'seconds':>8}")
    for suite in suites.values():
        print(f"{suite.name:<10} {suite.passed:>7} {suite.failed:>7} {suite.seconds:>8.0f}")
    print(f"{'all':<10} {passed:>7} {failed:>7} {time.monotonic() - began:>8.0f}\n")
    for suite in suites.values():
        for failure in suite.failures:
            # On one line: the end of a log is often all that somebody has.
            print(f"failed: {suite.name}: {' | '.join(failure.strip().splitlines())[:1000]}")
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed


# ---- Java

def java(suite: Suite, _seed) -> None:
    """mvn verify over all modules: compiler and Error Prone, unit tests, architecture rules, formatting."""
    home = jdk.find()
    log = host.cache() / "logs" / "mvn.log"
    log.parent.mkdir(exist_ok=True)
    for report in _surefire_reports():
        report.unlink()  # of a class that is gone by now, perhaps
    start = time.monotonic()
    with progress.step(f"mvn verify with {home.name}"):
        done = build.maven(["--fail-at-end", "verify"], home, log)
    for folder in sorted({report.parents[2] for report in _surefire_reports()}):
        counts, why = _surefire(folder / "target/surefire-reports")
        suite.add(str(folder.relative_to(host.CHECKOUT)), counts["tests"] - counts["bad"], counts["bad"], why, counts["seconds"])
    if not suite.passed + suite.failed:
        suite.add("tests", 0, 1, "Maven ran no test at all")
    if done.returncode:
        suite.add("mvn verify", 0, 1, f"status {done.returncode}; the whole log: {log}\n" + build.last_lines(done.stdout, 60),
                  time.monotonic() - start)
    else:
        suite.add("mvn verify (format, lint, architecture)", 1, seconds=time.monotonic() - start)


def _surefire_reports() -> list[Path]:
    """Of every module; a few stand one folder deeper (daemon/ctl, tests/benchmarks)."""
    return [report for depth in ("*", "*/*") for report in host.CHECKOUT.glob(f"{depth}/target/surefire-reports/TEST-*.xml")]


def _surefire(folder: Path) -> tuple[dict, str]:
    counts = {"tests": 0, "bad": 0, "seconds": 0.0}
    bad = []
    for report in sorted(folder.glob("TEST-*.xml")):
        root = xml.etree.ElementTree.parse(report).getroot()
        counts["tests"] += int(root.get("tests", 0))
        counts["seconds"] += float(root.get("time", "0").replace(",", ""))
        for case in root.iter("testcase"):
            for kind in ("failure", "error", "skipped"):  # a skipped test has proven nothing
                if (found := case.find(kind)) is not None:
                    counts["bad"] += 1
                    bad.append(f"{case.get('classname')}.{case.get('name')}: {kind}: "
                               f"{(found.get('message') or found.text or '').strip()[:600]}")
                    break
    return counts, "\n".join(bad)


# ---- the protocol on paper

def model(suite: Suite, _seed) -> None:
    """Spin over daemon/src/spin: every case to its end, and every planted mistake found."""
    for case in spin.CASES:
        suite.check(case.what, lambda case=case: progress.say(f"{case.what}: {spin.check(case)}"))


# ---- C, documents

def c(suite: Suite, _seed) -> None:
    image.ensure()
    for name, (what, action) in CHECKS.items():
        if name not in DOCUMENT_CHECKS and name not in debian.CHECKS:
            suite.check(what, action)


def docs(suite: Suite, _seed) -> None:
    for name in DOCUMENT_CHECKS:
        suite.check(*CHECKS[name])


def packages(suite: Suite, _seed) -> None:
    """The Debian packages: made, judged by lintian, compared with the install tree, installed and purged in a root."""
    for what, action in debian.CHECKS.values():
        suite.check(what, action)


def installing(suite: Suite, _seed) -> None:
    """docs/install.md, command by command, on two nodes."""
    suite.check("docs/install.md on two nodes", install.check)


def _requirements() -> None:
    if found := requirements.problems():
        raise CheckFailed("\n".join(found), f"mend {requirements.TABLE.relative_to(host.CHECKOUT)}")


def _merged() -> None:
    """No file has the marks of a merge that was not ended."""
    found = _git("grep", "-lE", "^(<{7}|>{7}) ")
    if found.returncode == 0:
        raise CheckFailed(f"a merge was not ended: {' '.join(found.stdout.split())}", "end it: the lines between <<<<<<< and >>>>>>>")
    if found.returncode != 1:  # what git grep says where it finds nothing
        raise CheckFailed(f"git grep: {found.stderr.strip()}", "this check wants a git checkout")


def _git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", "-c", f"safe.directory={host.CHECKOUT}", "-C", str(host.CHECKOUT), *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def _licences() -> None:
    """Each file says its licence: GPL-2.0-only in kmod/, Apache-2.0 elsewhere; REUSE.toml speaks for those that cannot."""
    listed = _git("ls-files", "-z")
    if listed.returncode:
        raise CheckFailed(f"git ls-files: {listed.stderr.strip()}", "this check wants a git checkout")
    spoken_for = [pattern for entry in tomllib.loads((host.CHECKOUT / "REUSE.toml").read_text())["annotations"]
                  for pattern in entry["path"]]
    wrong = []
    for name in filter(None, listed.stdout.split("\0")):
        path = host.CHECKOUT / name
        if name.startswith("LICENSES/") or not path.is_file() or any(fnmatch.fnmatch(name, one) for one in spoken_for):
            continue
        head = path.read_bytes()[:2000].decode(errors="replace").splitlines()[:12]
        said = [line.split("SPDX-License-Identifier:", 1)[1].strip(" */->") for line in head if "SPDX-License-Identifier:" in line]
        allowed = ("GPL-2.0-only",) if name.startswith("kmod/") else ("Apache-2.0", "GPL-2.0-only") \
            if name.startswith("tests/c/") else ("Apache-2.0",)
        if len(said) != 1 or said[0].split()[0] not in allowed:
            wrong.append(f"{name}: {said[0] if said else 'no SPDX-License-Identifier line'}; wanted {' or '.join(allowed)}")
    if wrong:
        raise CheckFailed("\n".join(wrong), "put the line into the file's head, or name the file in REUSE.toml")


def _rooms(folder: Path = build.MODULE_FOLDER) -> None:
    """Each file of the module includes headers of rooms before its own in Kbuild, or of its own, and no others."""
    objects = [Path(name).with_suffix("") for line in (folder / "Kbuild").read_text().splitlines()
               if line.startswith("mxfs-y ") for name in line.split("=", 1)[1].split()]
    # Some of these are headers alone.
    floors = [Path(name) for name in ("compat", "gate", "sb", "tell", "enter", "inode", "apply", "backend")]
    order = floors + [one for one in objects if one not in floors]

    def rank(path: Path) -> int:
        name = path.with_suffix("")
        if path.suffix == ".h" and name.name == name.parent.name:  # a folder's own header, below all of it
            return min(order.index(one) for one in order if one.parent == name.parent)
        if name not in order:
            raise CheckFailed(f"kmod/{path} is in no room", "name its object in kmod/Kbuild, or call it as its folder")
        return order.index(name)

    wrong = []
    for path in sorted(one.relative_to(folder) for one in folder.rglob("*.[ch]")):
        if path.parts[0] in ("include", "probes") or path.name in ("mount.mxfs.c", "mxfs.mod.c"):
            continue
        for name in re.findall(r'^#include "(.*)"', (folder / path).read_text(), re.MULTILINE):
            below, own = rank(Path(name)), rank(path)
            if below > own or (path.suffix == ".h" and below == own):
                wrong.append(f"kmod/{path} includes {name}, a room above it")
            if path.parts[0] == "vfs" and name == "local/bind.h":
                wrong.append(f"kmod/{path} includes {name}, which is for those who see what is below")
    if wrong:
        raise CheckFailed("\n".join(wrong), "move what is wanted down, or turn the call round")


CHECKS: dict[str, tuple[str, Callable[[], object]]] = {
    "requirements": ("requirements: every id, every named test exists", _requirements),
    "licences": ("licence line in every file", _licences),
    "merged": ("no marks of a merge in any file", _merged),
    "scan": ("console scan: every complaint is told, a known report is not", scan_check.check),
    "heartbeats": ("reader of heartbeats: a torn slot is nobody's", lockstate_check.check),
    "rooms": ("kernel module, a room includes only rooms below it", _rooms),
    "kmod": ("kernel module, W=1 -Werror", build.module),
    "sparse": ("kernel module, sparse", lambda: build.module(sparse=True)),
    "checkpatch": ("kernel module, checkpatch", build.checkpatch),
    "mount-helper": ("mount helper, -Wall -Wextra -Werror", lambda: build.mount_helper(image.ensure())),
    "c-tests": ("C test programs, -Wall -Wextra -Werror", build.c_tests),
    "c-demo": ("C program of the demo, -Wall -Wextra -Werror", lambda: build.c_tests(demo.SOURCES)),
    **debian.CHECKS,
}
DOCUMENT_CHECKS = ("requirements", "licences", "merged", "scan", "heartbeats")


# ---- machines

def protocol(suite: Suite, _seed) -> None:
    """The VM protocol: every script of `lab protocol`, each a test; its markers are printed as they come."""
    from . import protocol as scripts
    for result in scripts.run_all(build.install_tree()):
        suite.add(result.name, int(result.ok), int(not result.ok), result.why, result.seconds)


def the_demo(suite: Suite, seed) -> None:
    suite.check("two machines share one volume", lambda: demo.run(demo.Settings(seed or demo.new_seed())))


PARTS: dict[str, Callable] = {"java": java, "docs": docs, "c": c, "model": model, "packages": packages, "install": installing, "protocol": protocol, "demo": the_demo}
BY_NAME = ("packages", "install")  # not in a whole run yet: docs/lab.md says what has not passed
