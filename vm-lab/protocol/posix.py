# SPDX-License-Identifier: Apache-2.0
"""POSIX on one node as XFS has it: the programs of tests/c on a mounted mxfs while another node has it mounted too, then the same
programs on plain XFS on the same disk; both must say the same, and everything must be ok. Random operations and threads run again
while the other node keeps taking the volume away."""

import re

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 540
MARKERS = ["SELFTEST: posix ok"]
EXPECTED = []
TAP = ("posix_names", "posix_perm", "posix_attr", "posix_data", "posix_map", "posix_lock")


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    mine = _all(stage, n1, "mxfs")
    _while_taken_away(stage, n1, n2)
    n1.run(f"{PROGRAMS}/file_handles save {PLACE} /run/handles", timeout=120)
    stage.umount(n1)
    stage.umount(n2)
    stage.mount(n1)
    n1.run(f"{PROGRAMS}/file_handles check {PLACE} /run/handles", timeout=120)
    stage.umount(n1)
    stage.repair()

    stage.mkfs()
    plain = stage.plain
    stage.mount(plain, kind="xfs")
    theirs = _all(stage, plain, "xfs")
    stage.umount(plain)
    different = [f"mxfs: {a}   xfs: {b}" for a, b in zip(mine, theirs) if a != b]
    stage.same(different, [], "verdicts that differ")
    stage.same(len(mine), len(theirs), "number of verdicts")
    bad = [line for line in mine if not line.startswith("ok")]
    stage.same(bad, [], "verdicts on mxfs")
    stage.note(f"{len(mine)} facts hold on mxfs as on XFS")
    stage.marker("SELFTEST: posix ok")


def _all(stage, node, where):
    """Every verdict, without what follows it. Reasons of failures are told at once."""
    verdicts = []
    for program in TAP:
        done = node.run(f"{PROGRAMS}/{program} {PLACE}", check=False, timeout=300)
        out = done.out
        stage.check(re.search(r"^# \d+ failed$", out, re.M), f"{program} on {where} did not run to its end: status {done.rc}\n{done.err[-400:]}\n{out[-400:]}")
        for failed in re.findall(r"^not ok .*\n(?:#.*\n)?", out, re.M):
            stage.note(f"{program} on {where}: {failed.strip()}")
        verdicts += [f"{line} ({program})" for line in re.findall(r"^(?:not )?ok .*", out, re.M)]
    for seed in (1, 2):
        verdicts.append(_one(stage, node, where, f"random_ops {PLACE} {seed} 1500"))
    verdicts.append(_one(stage, node, where, f"stress {PLACE} 1 4 5"))
    verdicts.append(_one(stage, node, where, f"stress {PLACE} 1 check"))
    return verdicts


def _one(stage, node, where, command):
    done = node.run(f"{PROGRAMS}/{command}", check=False, timeout=200)
    if done.rc:
        stage.note(f"{command} on {where}: status {done.rc}: {(done.out + done.err).strip()[:3000]}")
    return f"{'ok' if done.rc == 0 else 'not ok'} {command}"


def _while_taken_away(stage, n1, n2):
    before = int(stage.status(n1)["detaches"])
    rival = stage.start(n2, f"while test ! -e /run/enough; do stat {PLACE}/. >/dev/null; ls {PLACE} >/dev/null; "
                            "sleep 0.3; done")
    n1.run(f"{PROGRAMS}/random_ops {PLACE} 3 600", timeout=240)
    n1.run(f"{PROGRAMS}/stress {PLACE} 2 4 10", timeout=120)
    n1.run(f"{PROGRAMS}/stress {PLACE} 2 check", timeout=120)
    n2.run("touch /run/enough")
    rival.finish(30)
    n2.run("rm /run/enough")
    changes = int(stage.status(n1)["detaches"]) - before
    stage.note(f"{changes} times taken away meanwhile")
    stage.check(changes >= 10, f"the volume was taken away only {changes} times: the test did not test it")
