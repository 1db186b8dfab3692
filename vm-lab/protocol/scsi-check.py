# SPDX-License-Identifier: Apache-2.0
"""mxfsctl scsi check: usable, not usable, refused, not checked, each with its exit status and verdict; nothing is left on the disk, also
after SIGINT, SIGTERM and errors in its midst; a disk with foreign keys is not touched."""

import json

from lablib.protocol import DEVICE, PLACE
from lablib.scsi import fencing

LIMIT = 400
MARKERS = ["SELFTEST: scsi check ok"]
EXPECTED = [r"reservation conflict"]
OWN_BOOT = True
CHECK = "mxfsctl scsi check"


def run(stage):
    node, other = stage.n1, stage.n2
    usable(stage, node)
    foreign_keys(stage, node, other)
    not_usable(stage, node)
    in_use(stage, node)
    alike(stage, node)
    signals(stage, node, other)
    errors(stage, node)
    stage.marker(MARKERS[0])


def check(stage, node, arguments, status, pattern, limit=60):
    done = node.run(f"{CHECK} {arguments}", check=False, timeout=limit)
    stage.same(done.rc, status, f"exit status of '{CHECK} {arguments}': {done.out}{done.err}")
    stage.matches(pattern, done.out + done.err, f"'{CHECK} {arguments}'")
    return done


def usable(stage, node):
    done = check(stage, node, DEVICE, 0, r"(?m)^USABLE: ")
    stage.matches("not supported +.*APTPL", done.out, "tgt has no APTPL")
    stage.matches("not supported +PREEMPT AND ABORT is a command", done.out, "tgt has no PREEMPT AND ABORT")
    stage.matches("not tried +one node fences another", done.out, "one path only")
    report = json.loads(check(stage, node, f"--json {DEVICE}", 0, "").out)
    stage.same((report["verdict"], report["exit"], report["paths"]), ("usable", 0, [DEVICE]), "the JSON")
    fencing(stage, node, DEVICE, "virtio_scsi", "wait", "hypervisor", "^virtio_scsi: a hypervisor answers resets", options="")
    stage.same(stage.keys(node), [], "keys after the check")
    check(stage, node, "--help", 0, "Not tried, because that would write data")
    check(stage, node, "", 2, "(?s)Missing required parameter.*Usage")
    stage.same(node.run("mxfsctl --version").out.split()[0], "mxfsctl", "the version")


def foreign_keys(stage, node, other):
    stage.persist(other, "-o --register-ignore --param-sark=0xf00")
    before = stage.persist(other, "-i -k")
    check(stage, node, DEVICE, 3, r"(?s)keys \[0000000000000f00\].*REFUSED: Nothing was tried and nothing was changed")
    stage.same(stage.persist(other, "-i -k"), before, "keys and generation")
    stage.persist(other, "-o --reserve --param-rk=0xf00 --prout-type=5")
    check(stage, node, DEVICE, 3, "held by key 0000000000000f00")
    stage.same(stage.holder(other), "f00", "the holder")
    stage.persist(other, "-o --clear --param-rk=0xf00")


def not_usable(stage, node):
    node.run("modprobe scsi_debug dev_size_mb=8 add_host=1")
    try:
        disk = stage.until(lambda: node.run("cd /sys/block && grep -ls scsi_debug sd*/device/model | cut -d/ -f1", check=False).out.strip(), 20,
                           "the disk of scsi_debug")
        check(stage, node, f"/dev/{disk}", 1, "(?s)it has none: READ KEYS to .*NOT USABLE: ")
    finally:
        node.run("rmmod scsi_debug")
    check(stage, node, "/dev/vda", 1, "(?s)vda is none .*NOT USABLE")
    check(stage, node, "/dev/null", 4, "(?s)ENOTBLK.*NOT CHECKED")
    check(stage, node, "/dev/missing", 4, "(?s)ENOENT.*NOT CHECKED")


def in_use(stage, node):
    stage.mkfs()
    node.run(f"mount -t xfs {DEVICE} {PLACE}")
    try:
        check(stage, node, DEVICE, 3, "(?s)EBUSY.*this machine uses the disk.*REFUSED")
    finally:
        node.run(f"umount {PLACE}")


def alike(stage, node):
    """Two disks of scsi_debug with the same names, none of them unique in the world (vpd_use_hostno): they are not taken for paths of one
    disk, and yet neither is checked while the other is held."""
    disks = lambda: node.run("cd /sys/block && grep -ls scsi_debug sd*/device/model | cut -d/ -f1", check=False).out.split()
    node.run("modprobe dm_mod; modprobe scsi_debug dev_size_mb=8 add_host=2 vpd_use_hostno=0")
    try:
        one, two = stage.until(lambda: found if len(found := disks()) == 2 else None, 20, "the disks of scsi_debug")
        node.run(f"dmsetup create held --table \"0 $(blockdev --getsz /dev/{two}) linear /dev/{two} 0\"")
        try:
            check(stage, node, f"/dev/{one}", 3, f"(?s)/dev/{two}, O_EXCL.*EBUSY.*which may be the same: they share a name.*names of their own at the target.*REFUSED")
        finally:
            node.run("dmsetup remove held")
        check(stage, node, f"/dev/{one}", 1, f"(?s)/dev/{one}, 1 path: .*no name that is unique in the world.*it has none: READ KEYS to .*NOT USABLE: ")
    finally:
        node.run("rmmod scsi_debug")


def signals(stage, node, other):
    """Each command takes 0.4 s more, so that the signal comes while keys are registered."""
    for signal, status in (("INT", 130), ("TERM", 143)):
        program = stage.start(node, "strace -f -qq -o /run/trace -e trace=ioctl -e inject=ioctl:delay_enter=400000 "
                                    f"sh -c 'echo $$; exec {CHECK} {DEVICE}'; echo status $?")
        pid = program.line(30)
        stage.until(lambda: stage.keys(other), 60, "the check to register")
        node.run(f"kill -{signal} {pid}")
        said = program.finish(60).out
        stage.matches(f"(?s)INTERRUPTED.*status {status}", said, f"SIG{signal}")
        stage.same(stage.keys(other), [], f"keys after SIG{signal}")
        stage.same(stage.holder(other), None, f"the holder after SIG{signal}")


def errors(stage, node):
    """A command fails in the kernel, early, in the middle, in the clean-up: nothing is left, and nothing is called unusable that only
    could not be asked."""
    count = int(node.run(f"strace -f -c -e trace=ioctl -o /run/count {CHECK} {DEVICE} >/dev/null; awk '$NF == \"ioctl\" {{print $4}}' /run/count").out)
    stage.check(count > 15, f"the check sent {count} commands")
    for number in (count // 3, count // 2, count - 3):
        done = node.run(f"strace -f -qq -o /run/trace -e trace=ioctl -e inject=ioctl:error=EIO:when={number} {CHECK} {DEVICE}", check=False,
                        timeout=60)
        stage.check(done.rc in (0, 4), f"error in command {number} of {count}: status {done.rc}: {done.out}{done.err}")
        stage.same(stage.keys(node), [], f"keys after an error in command {number}")
        stage.same(stage.holder(node), None, f"holder after an error in command {number}")
