# SPDX-License-Identifier: Apache-2.0
"""Two nodes fault on one mapped file while the volume goes back and forth: no fault fails, no store is lost, no page is stale."""

import re

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 120
MARKERS = ["SELFTEST: maps ok"]
EXPECTED = []
SECONDS = 15
CHANGES = 5
MIB = 8


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    n1.run(f"head -c {MIB}M /dev/zero >{PLACE}/mapped")
    before = int(stage.status(n1)["attaches"])
    programs = [stage.start(node, f"{PROGRAMS}/map_turns {PLACE}/mapped {node.number} {SECONDS}") for node in (n1, n2)]
    for node, program in zip((n1, n2), programs):
        done = program.finish(SECONDS + 60)
        match = re.search(r"rounds (\d+) faults (\d+) longest_ms (\d+)", done.out)
        stage.check(done.rc == 0 and match, f"{node.name}: status {done.rc}: {done.out}")
        stage.check(int(match[1]) > 0, f"{node.name}: not one round in {SECONDS} s")
        stage.note(f"{node.name}: {match[0]}")
    changes = int(stage.status(n1)["attaches"]) - before
    stage.note(f"the volume came back to node1 {changes} times meanwhile")
    stage.check(changes >= CHANGES, f"the volume came to node1 {changes} times, at least {CHANGES} expected: faults were hardly ever overtaken")
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()
    stage.marker("SELFTEST: maps ok")
