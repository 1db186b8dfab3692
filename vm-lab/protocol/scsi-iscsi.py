# SPDX-License-Identifier: Apache-2.0
"""PREEMPT AND ABORT, which tgt does not have and LIO does not survive through tcm_loop, on LIO by iSCSI, as sg_persist does it: who is
registered and who holds afterwards, what the fenced initiator is told, and that its write in flight is aborted before the answer. And what
that does not end, a write of a registrant that does not hold, or one beside a plain PREEMPT, ends a LOGICAL UNIT RESET, on LIO and on tgt.
mxfsctl scsi check says of both, by what they are, that this does not make a fence all the same. tgt's names of a unit are no world-wide ones.

iSCSI hands its commands to LIO directly (TARGET_DIRECT_SUBMIT), so that core_tmr_lun_reset() has no queue to wait for that it runs on."""

import re

from lablib.protocol import DEVICE
from lablib.scsi import CONFIG, DISK, INITIATORS, IscsiLio, IscsiTgt, Seat, Shell, Tool, compare, fencing, proven

LIMIT = 420
MARKERS = ["SELFTEST: scsi preempt and abort ok", "SELFTEST: scsi abort of a write in flight ok",
           "SELFTEST: scsi reset of a write in flight ok", "SELFTEST: scsi check with abort ok",
           "SELFTEST: scsi fencing found out ok", "SELFTEST: scsi reset on tgt ok", "SELFTEST: scsi functions told ok"]
# The second: Linux 6.12.117's pm_runtime_remove() flushes a work item of the disk as iSCSI logs out, on a workqueue for memory reclaim; when it is
# still to run then, as on a busy machine, the kernel complains of itself.
EXPECTED = [r"reservation conflict", r"at kernel/workqueue.c:\d+ check_flush_dependency"]

STEPS = [
    "a register 0 a1", "b abort b1 a1 5", "a reserve a1 5", "b abort b1 a1 5", "b register 0 b1",
    "b abort bad a1 5", "b abort b1 bad 5", "b abort b1 a1 5", "b abort b1 a1 5",
    "a reserve a1 5", "a release a1 5", "a register a1 a1", "a abort a1 b1 5", "a register 0 a1", "a reserve a1 5",
    "b abort b1 a1 5", "a ignore a1", "a abort a1 b1 5", "b ignore b1", "a clear a1",
]


def run(stage):
    lio = IscsiLio(stage, stage.n1)
    try:
        shell = Shell(stage, lio.node)
        # A tool for each seat: one of them will wait for its answer.
        seats = {name: Seat(Tool(stage, lio.node), shell, device) for name, device in zip("ab", lio.devices)}
        for line in compare(stage, seats, STEPS, "b"):
            stage.note(line)
        fenced(stage, seats)
        stage.marker(MARKERS[0])
        in_flight(stage, seats, shell, lio)
        stage.marker(MARKERS[1])
        for holder, command in (("b", "abort"), ("a", "preempt")):
            reset_in_flight(stage, seats, shell, lio, holder, command)
        stage.marker(MARKERS[2])
        proven(stage, lio.node, lio.devices[0], lio.devices, also=("preempt-abort-known", "fence-abort"))
        stage.marker(MARKERS[3])
        found_out(stage, seats, lio)
        stage.marker(MARKERS[4])
        not_alone(stage, lio)
    finally:
        stage.close_programs()
        lio.close()
    on_tgt(stage)
    functions(stage, stage.n1)
    stage.marker(MARKERS[6])


def on_tgt(stage):
    tgt = IscsiTgt(stage, stage.n1)
    try:
        shell = Shell(stage, tgt.node)
        seats = {name: Seat(Tool(stage, tgt.node), shell, device) for name, device in zip("ab", tgt.devices)}
        for holder in "ba":
            reset_at_tgt(stage, seats, shell, holder)
        stage.matches("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS to .*ILLEGAL_REQUEST 24/00", seats["a"].say("functions"), "what tgt says of its functions")
        fencing(stage, tgt.node, tgt.devices[0], "iscsi_tcp", "wait", "not_all", "^tgt by iscsi_tcp: UNMAP and WRITE SAME")
        said = seats["a"].tool.say(f"{tgt.devices[0]} paths")
        stage.check(f"paths=[{tgt.devices[0]}], alike=[{tgt.devices[1]}]" in said, f"two sessions to one unit of tgt, by its own names: {said}")
        stage.marker(MARKERS[5])
    finally:
        stage.close_programs()
        tgt.close()


def a_holds(stage, seats, holder="a"):
    """Both are registered, and one holds the reservation; two nexuses, by two initiator names."""
    for name, seat in seats.items():
        seat.say("ready")  # the unit attentions of what was before
        stage.matches(": GOOD", seat.say(f"ignore {name}1"), f"REGISTER at {name}")
    stage.matches(": GOOD", seats[holder].say(f"reserve {holder}1 5"), f"RESERVE at {holder}")
    said = seats["b"].say("full")
    identities = dict(re.findall(r"key 0*(a1|b1).*?transport id ([0-9a-f]+)", said))
    for name, initiator in INITIATORS.items():
        stage.check(initiator.encode() in bytes.fromhex(identities[f"{name}1"]), f"the initiator of {name}1 is not {initiator}: {said}")


def b_holds_alone(stage, b):
    stage.matches(r"GOOD, .*keys \[0+b1\]", b.say("keys"), "READ KEYS")
    stage.matches("held by key 0+b1, WRITE_EXCLUSIVE_REGISTRANTS_ONLY", b.say("reservation"), "READ RESERVATION")


def fenced(stage, seats):
    """The fenced holder is told once, is refused from then on, may read, and comes back by registering."""
    a, b = seats["a"], seats["b"]
    a_holds(stage, seats)
    stage.matches(": GOOD", a.say("write 0 1 512 5a"), "a write of the holder")
    stage.matches(r": GOOD.*\| GONE_AND_HELD", b.say("abort b1 a1 5"), "PREEMPT AND ABORT")
    b_holds_alone(stage, b)
    stage.matches("UNIT_ATTENTION 2A/05", a.say("write 0 1 512 77"), "the first write of the fenced initiator")
    stage.matches("RESERVATION CONFLICT", a.say("write 0 1 512 77"), "a later write of the fenced initiator")
    stage.same(a.sg("sg_raw -s 512 -i /dev/zero 2a 00 00 00 00 00 00 00 01 00")[0], 24, "the exit status of a write by sg_raw: 24 is a conflict")
    stage.matches("512 times 5a", b.say("read 0 1 512"), "what the refused writes left")
    stage.matches("512 times 5a", a.say("read 0 1 512"), "type 5 lets everybody read")
    stage.matches(": GOOD", a.say("register 0 a1"), "the fenced initiator registers again")
    stage.matches(": GOOD", a.say("write 0 1 512 77"), "and writes again")
    stage.matches("512 times 77", b.say("read 0 1 512"), "what it wrote")
    stage.matches(": GOOD", b.say("clear b1"), "CLEAR")


def in_flight(stage, seats, shell, lio):
    """The disk under the unit stands still, so a's write is in flight. PREEMPT AND ABORT waits until the write is over: once b has its answer,
    nothing of a can reach the disk any more. LIO also waits until a has acknowledged the status of its write, which an iSCSI initiator does
    with whatever it sends next; so a says something before b's answer is asked for."""
    a, b = seats["a"], seats["b"]
    a_holds(stage, seats)
    commands = lambda: int(shell.run(f"cat {lio.statistics}/scsi_lu/num_cmds")[1])
    shell.run(f"dmsetup suspend --noflush --nolockfs {DISK}")
    try:
        before = commands()
        a.ask("write 0 1 512 11")
        stage.until(lambda: commands() > before, 5, "the target to get a's write")
        b.ask("abort b1 a1 5")
        stage.until(lambda: "core_tmr_lun_reset" in shell.run("cat $(printf '/proc/%s/stack ' $(pgrep iscsi_trx))")[1], 5,
                    "PREEMPT AND ABORT to wait for a's write")
    finally:
        shell.run(f"dmsetup resume {DISK}")
    stage.matches("WRITE.*: TASK ABORTED", a.hear(), "the write in flight")
    stage.matches("UNIT_ATTENTION 2A/05", a.say("ready"), "the next command of the fenced initiator")
    stage.matches(r": GOOD.*\| GONE_AND_HELD", b.hear(), "PREEMPT AND ABORT of a write in flight")
    b_holds_alone(stage, b)
    stage.matches("RESERVATION CONFLICT", a.say("write 0 1 512 22"), "the next write of the fenced initiator")
    stage.matches(": GOOD", b.say("write 0 1 512 33"), "a write of the holder")
    stage.matches("512 times 33", a.say("read 0 1 512"), "what the holder wrote")
    stage.matches(": GOOD", b.say("clear b1"), "CLEAR")


def reset_in_flight(stage, seats, shell, lio, holder, command):
    """a's write is in flight, and the command shuts a out without ending it: its answer does not wait for the write. A reset from b does, and
    once b has that answer nothing of a can reach the disk any more. As above, LIO also waits for a's acknowledgement."""
    a, b = seats["a"], seats["b"]
    a_holds(stage, seats, holder)
    what = f"of a {'holder' if holder == 'a' else 'registrant'} after {command}"
    commands = lambda: int(shell.run(f"cat {lio.statistics}/scsi_lu/num_cmds")[1])
    shell.run(f"dmsetup suspend --noflush --nolockfs {DISK}")
    try:
        before = commands()
        a.ask("write 0 1 512 11")
        stage.until(lambda: commands() > before, 5, "the target to get a's write")
        stage.matches(r": GOOD.*\| GONE_AND_HELD", b.say(f"{command} b1 a1 5"), f"{command} beside a write in flight")
        b.ask("reset")
        stage.until(lambda: "core_tmr_lun_reset" in shell.run("cat /proc/[0-9]*/stack")[1], 5, "the reset to wait for a's write")
    finally:
        shell.run(f"dmsetup resume {DISK}")
    stage.matches("WRITE.*: TASK ABORTED", a.hear(), f"the write in flight {what}")
    stage.matches("UNIT_ATTENTION 2A/05", a.say("ready"), "the next command of the fenced initiator")
    stage.same(b.hear(), "LOGICAL UNIT RESET: done", f"the reset that ends the write {what}")
    stage.matches("UNIT_ATTENTION 29/03", b.say("ready"), "the next command of who reset")
    b_holds_alone(stage, b)
    stage.matches("RESERVATION CONFLICT", a.say("write 0 1 512 22"), "the next write of the fenced initiator")
    stage.matches(": GOOD", b.say("write 0 1 512 33"), "a write of the holder")
    stage.matches("512 times 33", a.say("read 0 1 512"), "what the holder wrote")
    stage.matches(": GOOD", b.say("clear b1"), "CLEAR")


def reset_at_tgt(stage, seats, shell, holder):
    """tgt lets a write that its thread has begun come to its end, and answers the reset after that."""
    a, b = seats["a"], seats["b"]
    for name, seat in seats.items():
        seat.say("ready")
        stage.matches(": GOOD", seat.say(f"ignore {name}1"), f"REGISTER at {name}")
    stage.matches(": GOOD", seats[holder].say(f"reserve {holder}1 5"), f"RESERVE at {holder}")
    stacks = lambda of: shell.run(f"cat {of}")[1]
    tgtd = "$(printf '/proc/%s/task/*/stack ' $(pgrep -x tgtd))"
    what = f"of a {'holder' if holder == 'a' else 'registrant'}, on tgt"
    shell.run(f"dmsetup suspend --noflush --nolockfs {DISK}")
    try:
        a.ask("write 0 1 512 11")
        stage.until(lambda: "blkdev_direct_IO" in stacks(tgtd), 5, "tgt's thread to write for a")
        stage.matches(r": GOOD.*\| GONE_AND_HELD", b.say("preempt b1 a1 5"), "PREEMPT beside a write in flight")
        b.ask("reset")
        stage.until(lambda: "iscsi_exec_task_mgmt_fn" in stacks("/proc/[0-9]*/task/*/stack"), 5, "the reset to wait for a's write")
    finally:
        shell.run(f"dmsetup resume {DISK}")
    stage.same(b.hear(), "LOGICAL UNIT RESET: done", f"the reset that waits for the write {what}")
    stage.matches("512 times 11", b.say("read 0 1 512"), f"the write was over before that answer {what}")
    stage.matches("WRITE.*: GOOD", a.hear(), f"the write in flight {what}")
    stage.matches("UNIT_ATTENTION 29/00", a.say("ready"), "the next command of the fenced initiator")
    b_holds_alone(stage, b)
    stage.matches("RESERVATION CONFLICT", a.say("write 0 1 512 22"), "the next write of the fenced initiator")
    stage.matches(": GOOD", b.say("write 0 1 512 33"), "a write of the holder")
    stage.matches("512 times 33", a.say("read 0 1 512"), "what the holder wrote")
    stage.matches(": GOOD", b.say("clear b1"), "CLEAR")


def found_out(stage, seats, lio):
    """LIO by iSCSI is known, and what it lacks; and the nodes' own disk comes by QEMU's virtio-scsi, which answers resets itself."""
    a, device = seats["a"], lio.devices[0]
    for seat in seats.values():
        seat.say("ready")
    stage.matches("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS to .*ILLEGAL_REQUEST 2", a.say("functions"), "what LIO says of its functions")
    stage.matches("REPORT SUPPORTED OPERATION CODES to .*: GOOD, STANDARD", a.say("support 5f 5"), "what LIO says of PREEMPT AND ABORT")
    stage.matches("REPORT SUPPORTED OPERATION CODES to .*: GOOD, NOT_SUPPORTED", a.say("support a3 d"), "what LIO says of what it does not have")
    fencing(stage, lio.node, device, "iscsi_tcp", "wait", "not_all", "^LIO by iscsi_tcp: a reset does not wait for commands of a connection")
    fencing(stage, lio.node, DEVICE, "virtio_scsi", "wait", "hypervisor", "^virtio_scsi: ")


def functions(stage, node):
    """None of the two that are known answers REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS; the kernel's own make-believe disk does."""
    disks = lambda: set(node.run("ls -d /sys/block/sd*").out.split())
    before = disks()
    node.run("modprobe scsi_debug dev_size_mb=8 add_host=1")
    try:
        made = stage.until(lambda: disks() - before, 20, "the disk of scsi_debug").pop()
        seat = Seat(Tool(stage, node), Shell(stage, node), made.replace("/sys/block", "/dev"))
        seat.say("ready")
        said, theirs = seat.say("functions"), seat.sg("sg_opcodes -t")[1]
        names = {"ABORT_TASK": "Abort task$", "ABORT_TASK_SET": "Abort task set", "CLEAR_ACA": "Clear ACA", "CLEAR_TASK_SET": "Clear task set",
                 "LOGICAL_UNIT_RESET": "Logical unit reset", "QUERY_TASK": "Query task$", "TARGET_RESET": "Target reset", "WAKEUP": "Wakeup",
                 "I_T_NEXUS_RESET": "I_T nexus reset"}
        mine = set(re.search(r"GOOD, \[(.*)\]", said)[1].split(", "))
        stage.same(mine, {name for name, text in names.items() if re.search(text, theirs, re.M)}, f"by the library and by sg_opcodes: {theirs}")
        stage.check("LOGICAL_UNIT_RESET" in mine, f"scsi_debug has a logical unit reset: {said}")
        stage.matches("HostAdapter\\[driver=scsi_debug, chip=\\]", seat.say("adapter"), "the adapter of scsi_debug's disk")
    finally:
        stage.close_programs()  # they have it open
        stage.until(lambda: node.run("rmmod scsi_debug", check=False).rc == 0, 20, "the disk of scsi_debug to be let go of")


def not_alone(stage, lio):
    """A unit that other machines can reach and that has no reservations is nobody's alone, however silent the network is."""
    device = lio.devices[0]
    lio.node.run(f"mkfs.xfs -q -f --unsupported {device} && echo 0 >{CONFIG}/core/iblock_0/disk/attrib/emulate_pr")
    stage.refused(lio.node, "EOPNOTSUPP", "comes by iSCSI.*no SCSI persistent reservations", device=device,
                  what="mount of a unit by iSCSI without reservations", log="not mounted.*comes by iSCSI")
