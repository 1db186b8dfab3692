# SPDX-License-Identifier: Apache-2.0
"""The protocol of ownership as a Promela model, checked by Spin; and whether planted mistakes are found."""

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import host
from .errors import LabError

MODEL = host.CHECKOUT / "daemon/src/spin/ownership.pml"
QUIET = {"FAULTS": 0, "DEATHS": 0, "GIVEUPS": 0}


@dataclass
class Case:
    what: str
    defines: dict[str, int] = field(default_factory=dict)
    progress: bool = False
    finds: str = ""  # what Spin has to say; "": no error


CASES = [
    Case("two nodes, a fault, a daemon that dies, a request given up"),
    Case("two nodes, three keys each", {"KEYS": 3, "FAULTS": 0}),
    Case("three nodes", {"NODES": 3, "KEYS": 1, "FAULTS": 0, "DEATHS": 0}),
    Case("progress of two nodes", {"GIVEUPS": 0, "FAULTS": 0, "KEYS": 1}, progress=True),
    Case("progress of two nodes, grants taken back", {"KEYS": 4, "FAULTS": 0, "DEATHS": 0, "TIMEOUTS": 1}, progress=True),
    Case("progress of two nodes, a fault, a daemon that dies", {"KEYS": 4, "GIVEUPS": 0, "TIMEOUTS": 0}, progress=True),
    Case("planted: PREEMPT without a grant", {"PLANTED_NO_CONSENT": 1}, finds="assertion violated"),
    Case("planted: a grant while XFS is mounted", {"PLANTED_GRANT_WHILE_ATTACHED": 1}, finds="assertion violated"),
    Case("planted: a grant is just forgotten", {"PLANTED_GRANT_IS_JUST_FORGOTTEN": 1}, finds="assertion violated"),
    Case("planted: an answer older than the grant", {"PLANTED_OLD_ANSWER": 1}, finds="assertion violated"),
    Case("planted: an owner that never grants", {**QUIET, "KEYS": 1, "PLANTED_NEVER_GRANT": 1}, progress=True,
         finds="acceptance cycle"),
]


def check(case: Case) -> str:
    """Runs one case; returns what was explored, raises what is wrong."""
    with tempfile.TemporaryDirectory(prefix="mxfs-spin-") as folder:
        defines = [f"-D{name}={value}" for name, value in case.defines.items()]
        host.call([host.tool("spin"), "-a", *defines, str(MODEL)], "spin", cwd=folder)
        kind = ["-DNFAIR=4"] if case.progress else ["-DSAFETY", "-DNOCLAIM"]
        host.call(["gcc", "-O1", "-w", *kind, "-o", "pan", "pan.c"], "compiling Spin's verifier", cwd=folder)
        argv = ["./pan", "-m5000000", "-w22", "-n", *(["-a", "-f"] if case.progress else [])]
        done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=1200)
        said = done.stdout
        story = ""
        if list(Path(folder).glob("*.trail")):
            trail = subprocess.run([host.tool("spin"), "-k", "ownership.pml.trail", "-p", *defines, str(MODEL)], cwd=folder, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            story = "\n".join(trail.stdout.splitlines()[-60:])
    states = re.search(r"(\d+) states, stored", said)
    errors = re.search(r"errors: (\d+)", said)
    if not states or not errors or "max search depth too small" in said or "out of memory" in said:
        raise LabError(f"Spin did not get to an end of {case.what}:\n{said[-2000:]}")
    found = next((line for line in said.splitlines() if line.startswith("pan:1:")), "")
    if case.finds:
        if case.finds not in found:
            raise LabError(f"Spin did not find the mistake that was {case.what}: {found or 'no error'}")
        return f"found after {states[1]} states"
    if errors[1] != "0":
        raise LabError(f"{case.what}: {found}\n{story}")
    return f"complete, {states[1]} states"
