# SPDX-License-Identifier: Apache-2.0
"""Both nodes work with several threads in one directory for 20 seconds: every file is checked while it changes, and afterwards
from the other side; then the volume is clean."""

import re

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 180
MARKERS = ["SELFTEST: stress ok"]
EXPECTED = []
SECONDS = 20  # longer on a slow kernel, for as much work


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    n1.run(f"mkdir {PLACE}/common")
    seconds = round(SECONDS * stage.slowness)
    programs = [stage.start(node, f"{PROGRAMS}/stress {PLACE}/common {node.number} 3 {seconds}") for node in (n1, n2)]
    for node, program in zip((n1, n2), programs):
        done = program.finish(SECONDS + 60)
        stage.check(done.rc == 0, f"{node.name}: status {done.rc}: {done.out}")
        stage.note(f"{node.name}: {done.out.strip()}")
    changes = [int(text) / 1000 for node in (n1, n2) for text in node.run("cat /sys/kernel/debug/mxfs/*/changes").out.split()]
    stage.check(len(changes) >= 10, f"only {len(changes)} changes of owner: the test did not test them")
    stage.note(f"{len(changes)} changes of owner, median {sorted(changes)[len(changes) // 2]:.0f} ms, longest {max(changes):.0f} ms")
    # Each checks what the other one left.
    for node, other in ((n1, n2), (n2, n1)):
        out = node.run(f"{PROGRAMS}/stress {PLACE}/common {other.number} check", timeout=60).out
        stage.check(int(re.search(r"ok: (\d+) files", out)[1]) > 0, f"{other.name} left no file to check: {out}")
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()
    stage.marker("SELFTEST: stress ok")
