# SPDX-License-Identifier: Apache-2.0
"""The SCSI library against LIO, a second and different target: every reservation action as sg_persist does it, READ FULL STATUS, APTPL,
REGISTER AND MOVE, COMPARE AND WRITE; the block layer's requests; two paths to one unit, with and without device-mapper multipath.

PREEMPT AND ABORT is left to scsi-iscsi: through tcm_loop it hangs Linux 6.12 for good. The command runs on the device's submission queue,
and core_tmr_lun_reset() waits for that very queue to be empty (flush_work of the work item it is called from)."""

import re

from lablib.protocol import DEVICE
from lablib.scsi import Lio, Multipath, Seat, Shell, Tool, compare, fencing, proven

LIMIT = 400
MARKERS = ["SELFTEST: scsi reservations on LIO ok", "SELFTEST: scsi block layer requests ok", "SELFTEST: scsi paths ok"]
EXPECTED = [r"reservation conflict"]

STEPS = [
    "a register 0 a1", "a register 0 a1", "a register bad a2", "a register a1 a1", "b reserve b1 5", "b ignore b1",
    "a reserve a1 5", "a reserve a1 5", "a reserve a1 1", "b reserve b1 5", "b reserve a1 5", "b release b1 5", "a release a1 1",
    "b preempt b1 a1 5", "a reserve a1 5", "b preempt b1 a1 5",
    "a register 0 a1", "b preempt b1 a1 5", "a release a1 5",
    "a register 0 a1", "b register-aptpl b1 b1",
    "b register b1 0", "a release a1 5", "b ignore b1",
    "a release a1 5", *[f"a {step}" for kind in (1, 3, 5, 6, 7, 8) for step in (f"reserve a1 {kind}", f"release a1 {kind}")],
    "a reserve a1 5", "a register a1 0", "b clear b1",
]


def run(stage):
    node = stage.n1
    lio = Lio(stage, node)
    try:
        tool = Tool(stage, node)
        shell = Shell(stage, node)
        seats = {name: Seat(tool, shell, device) for name, device in zip("ab", lio.devices)}
        for line in compare(stage, seats, STEPS, "b"):
            stage.note(line)
        full_status_and_move(stage, seats)
        stage.matches("MISCOMPARE 1D/00.*", seats["a"].say("compare 0 512 5a 77"), "COMPARE AND WRITE of other data")
        stage.matches(": GOOD", seats["a"].say("compare 0 512 00 77"), "COMPARE AND WRITE")
        stage.matches("512 times 77", seats["b"].say("read 0 1 512"), "after COMPARE AND WRITE")
        stage.marker(MARKERS[0])
        block_requests(stage, seats, lio)
        stage.marker(MARKERS[1])
        paths(stage, tool, lio)
        stage.marker(MARKERS[2])
    finally:
        stage.close_programs()
        lio.close()


def full_status_and_move(stage, seats):
    """READ FULL STATUS names both nexuses; the reservation moves to the one that it names."""
    a, b = seats["a"], seats["b"]
    for seat, key in ((a, "a1"), (b, "b1")):
        stage.matches(": GOOD", seat.say(f"ignore {key}"), "REGISTER")
    stage.matches(": GOOD", a.say("reserve a1 5"), "RESERVE")
    said = a.say("full")
    found = dict(re.findall(r"key 0*(a1|b1)(.*?transport id [0-9a-f]+)", said))
    theirs = b.sg("sg_persist -n -i -s")[1]
    for key, holds in (("a1", True), ("b1", False)):
        address = re.search(rf"Key=0x{key}\n(?:.*\n)*?\s+SAS address: 0x([0-9a-f]+)", theirs)[1]
        stage.check(address in found[key], f"the transport id of {key}: {said}, sg_persist: {theirs}")
        stage.same("holds WRITE_EXCLUSIVE_REGISTRANTS_ONLY" in found[key], holds, f"the holder: {said}")
    port = re.search(r"target port (\d+)", found["b1"])[1]
    identity = re.search(r"transport id ([0-9a-f]+)", found["b1"])[1]
    steps = ["a ignore a1", "b ignore b1", "a reserve a1 5", f"b move b1 b2 {port} {identity}", f"a move a1 b2 {port} {identity}", "b release b2 5"]
    for line in compare(stage, seats, steps, "b"):
        stage.note(line)


def block_requests(stage, seats, lio):
    """IOC_PR_* on one nexus, seen by SG_IO on the other; kernels before 7.0 cannot read by them, and say so."""
    a, b = seats["a"], seats["b"]
    pr = lambda command: a.tool.say(f"pr:{a.device} {command}")
    expect = lambda said, pattern: stage.matches(pattern, said, "by the block layer")
    expect(b.say("ignore b1"), ": GOOD")
    expect(pr("register 0 a1"), "REGISTER to .*: GOOD")
    expect(pr("register 0 a2"), "RESERVATION CONFLICT")
    expect(pr("ignore a1"), ": GOOD")
    expect(b.say("capabilities"), "persistThroughPowerLossActive=true")
    expect(pr("reserve a1"), ": GOOD")
    expect(b.say("reservation"), "held by key 0+a1, WRITE_EXCLUSIVE_REGISTRANTS_ONLY")
    expect(b.say("reserve b1"), "RESERVATION CONFLICT")
    expect(pr("preempt a1 b1"), r"PREEMPT to .*: GOOD, DONE \| UNKNOWN")
    b.say("ready")
    expect(b.say("keys"), r"keys \[0+a1\]")
    expect(pr("keys"), "EINVAL|ENOTTY")
    expect(pr("reservation"), "EINVAL|ENOTTY")
    expect(pr("release a1"), ": GOOD")
    expect(b.say("reservation"), "not held")
    expect(pr("clear a1"), ": GOOD")
    expect(b.say("keys"), r"keys \[\]")
    # tgt has no APTPL, which the kernel asks for: refused, with a name.
    expect(a.tool.say(f"pr:{DEVICE} ignore a1"), "EINVAL|EIO")


def paths(stage, tool, lio):
    """Both disks are found as paths of one unit, by either name and by device mapper; the check registers on each."""
    both = f"paths=[{', '.join(lio.devices)}]"
    for device, others in ((device, [each for each in lio.devices if each != device]) for device in lio.devices):
        named_first = f"paths=[{', '.join([device, *others])}]"
        stage.check("kind=SCSI_DISK" in (said := tool.say(f"{device} paths")) and named_first in said, said)
    stage.check("paths=[/dev/sda]" in (said := tool.say("/dev/sda paths")), said)
    proven(stage, lio.node, lio.devices[0], lio.devices, "--no-abort")
    fencing(stage, lio.node, lio.devices[0], "tcm_loopback", "wait", "adapter", "^tcm_loopback: not known")
    multipath = Multipath(lio.node, lio.devices)
    try:
        stage.check("kind=MULTIPATH" in (said := tool.say(f"{multipath.device} paths")) and both in said, said)
        stage.matches("ENOTTY.*device-mapper", tool.say(f"{multipath.device} ready"), "SG_IO to a device-mapper device")
        stage.matches(": GOOD", tool.say(f"pr:{multipath.device} ignore a1"), "a registration by device mapper")
        stage.matches("keys .0+a1, 0+a1.", tool.say(f"{lio.devices[0]} keys"), "it is on every path")
        stage.matches(": GOOD", tool.say(f"pr:{multipath.device} clear a1"), "CLEAR by device mapper")
        proven(stage, lio.node, multipath.device, lio.devices, "--no-abort")
        held = lio.node.run(f"mxfsctl scsi check {lio.devices[0]}", check=False)
        stage.same(held.rc, 3, f"a path that device mapper holds: {held.out}{held.err}")
    finally:
        # The program above has it open by now.
        stage.close_programs()
        multipath.close()
