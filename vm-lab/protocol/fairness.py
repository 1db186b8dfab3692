# SPDX-License-Identifier: Apache-2.0
"""Two nodes that hammer the volume both get their share: neither starves, and no operation waits for long. A long copy leaves the volume to the
other node between its pieces."""

import re

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 120
MARKERS = ["SELFTEST: fairness ok"]
EXPECTED = []
SECONDS = 15
LONGEST_MS = 5000   # a change of owner takes a fraction of a second; this is for a loaded machine
SHARE = 0.2         # of all operations, for the one that got less
PIECES = 8          # MXFS_COPY_PIECE is 32 MiB


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs(options="-m reflink=0")  # a copy is a copy
    stage.mount(n1)
    stage.mount(n2)
    programs = [stage.start(node, f"{PROGRAMS}/hammer {PLACE} {node.number} {SECONDS}") for node in (n1, n2)]
    results = []
    for node, program in zip((n1, n2), programs):
        done = program.finish(SECONDS + 60)
        match = re.search(r"operations (\d+) longest_ms (\d+) runs (\d+)", done.out)
        stage.check(done.rc == 0 and match, f"{node.name}: status {done.rc}: {done.out}")
        results.append([int(number) for number in match.groups()])
        stage.note(f"{node.name}: {match[0]}")
    share = min(ops for ops, _, _ in results) / max(1, sum(ops for ops, _, _ in results))
    stage.note(f"the smaller share is {share:.0%}, the longest wait {max(ms for _, ms, _ in results)} ms")
    stage.check(share >= SHARE, f"one node got {share:.0%} of {sum(ops for ops, _, _ in results)} operations, expected {SHARE:.0%} or more")
    for node, (_, longest, runs) in zip((n1, n2), results):
        stage.check(longest <= LONGEST_MS * stage.slowness, f"{node.name}: an operation waited {longest} ms, at most {LONGEST_MS * stage.slowness:.0f} expected")
        stage.check(runs >= SECONDS / 2 / stage.slowness, f"{node.name}: got the volume only {runs} times in {SECONDS} s")
    # One alone afterwards has it for itself.
    before = int(stage.status(n1)["waits"])
    n1.run(f"touch {PLACE}/alone; {PROGRAMS}/hammer {PLACE} 1 3")
    stage.check(int(stage.status(n1)["waits"]) - before <= 2, "a node alone had to wait for ownership again and again")
    _beside_a_copy(stage, n1, n2)
    stage.umount(n1)
    stage.umount(n2)
    stage.marker("SELFTEST: fairness ok")


def _beside_a_copy(stage, n1, n2):
    n1.run(f"head -c {PIECES * 32}M /dev/zero >{PLACE}/source && sync")
    before = int(stage.status(n1)["detaches"])
    rival = stage.start(n2, f"while test ! -e {PLACE}/copied; do touch {PLACE}/turn; done")
    n1.run(f"xfs_io -f -c 'copy_range {PLACE}/source' {PLACE}/copy && touch {PLACE}/copied", timeout=90)
    taken = int(stage.status(n1)["detaches"]) - before
    rival.finish(30)
    stage.note(f"taken away {taken} times beside a copy of {PIECES} pieces")
    stage.check(taken >= PIECES - 1, f"the other node had the volume {taken} times beside a copy of {PIECES} pieces")
    stage.same(n1.run(f"cmp {PLACE}/source {PLACE}/copy && rm {PLACE}/source {PLACE}/copy", check=False).rc, 0, "the copy")
