# SPDX-License-Identifier: Apache-2.0
"""What mount(8) does with the helper's aid: a write-protected device is mounted read-only, an ordinary user mounts what fstab lets him,
and who has no module, or one that this kernel does not take, is told so, and what to do."""

import re

from lablib.protocol import DEVICE, PLACE

LIMIT = 120
MARKERS = ["SELFTEST: mount helper ok"]
EXPECTED = []
FSTAB = "/run/fstab"


def run(stage):
    node = stage.n1
    stage.mkfs()
    stage.mount(node)
    node.run(f"echo f >{PLACE}/f")
    stage.umount(node)
    _write_protected(stage, node)
    _user(stage, node)
    _no_module(stage, node)
    stage.marker("SELFTEST: mount helper ok")


def _write_protected(stage, node):
    node.run(f"blockdev --setro {DEVICE}")
    try:
        stage.refused(node, "EACCES", "write-protected", what="mount of a write-protected device")
        out = node.run(f"{stage.mount_command()} {DEVICE} {PLACE} 2>&1").out
        stage.matches("write-protected, mounted read-only", out, "mount(8) of a write-protected device")
        stage.matches(r" mxfs ro[, ]", node.run("cat /proc/mounts").out, "/proc/mounts")
        node.run(f"cat {PLACE}/f && ! touch {PLACE}/new 2>/dev/null")
        done = node.run(f"mount -o remount,rw {PLACE}", check=False)
        stage.check(done.rc, "a write-protected device was remounted read-write")
        stage.matches("protected", done.err, "remount,rw of a write-protected device")
        stage.umount(node)
    finally:
        node.run(f"blockdev --setrw {DEVICE}")


def _no_module(stage, node):
    """mount(8) itself says "unknown filesystem type" of both."""
    release = node.run("uname -r").out.strip()
    refused = f"{stage.mount_command()} {DEVICE} {PLACE} 2>&1"
    node.run("rmmod mxfs && mount -t tmpfs -o mode=755 none /usr/lib/modules")
    try:
        for command in (refused, f"{stage.mount_command('validate')} {DEVICE} {PLACE} 2>&1"):
            done = node.run(command, check=False)
            stage.same(done.rc, 32, "mount without a module")
            stage.matches(f"Module mxfs not found in directory /lib/modules/{re.escape(release)}", done.out, "mount without a module")
            stage.matches(f"apt install linux-headers-{re.escape(release)}", done.out, "mount without a module")
    finally:
        node.run("umount /usr/lib/modules")
    if stage.debug:
        return  # that kernel is built without signatures
    # As a machine that starts by Secure Boot: the lab's module is not signed. Only a boot ends it.
    node.run("echo 1 >/sys/module/module/parameters/sig_enforce")
    try:
        done = node.run(refused, check=False)
        stage.same(done.rc, 32, "mount with a module that is not signed")
        stage.matches("Key was rejected by service", done.out, "mount with a module that is not signed")
        stage.matches(r"Secure Boot, see there in mxfs\(5\)", done.out, "mount with a module that is not signed")
    finally:
        stage.boot_afresh([node])


def _user(stage, node):
    """`user` in fstab: an ordinary user mounts and unmounts, with what fstab says and nothing else."""
    node.run(f"touch /etc/fstab && cp /etc/fstab {FSTAB} && echo '{DEVICE} {PLACE} mxfs user,noauto,lease_ms=9000 0 0' >>/etc/fstab")
    try:
        done = node.run(f"su user1 -s /bin/sh -c 'mount {PLACE}'", check=False)
        stage.same((done.rc, done.err), (0, ""), "a user's mount of what fstab lets him")
        line = node.run("grep ' mxfs ' /proc/mounts").out
        for shown in ("lease_ms=9000", "nosuid", "nodev", "noexec"):
            stage.matches(rf"[ ,]{shown}[ ,]", line, "/proc/mounts")
        done = node.run(f"su user2 -s /bin/sh -c 'umount {PLACE}'", check=False)
        stage.check(done.rc, "another user unmounted it")
        node.run(f"su user1 -s /bin/sh -c 'umount {PLACE}'")
        node.run(f"cp {FSTAB} /etc/fstab")
        done = node.run(f"su user1 -s /bin/sh -c '/sbin/mount.mxfs {DEVICE} {PLACE} -o suid'", check=False)
        stage.check(done.rc, "a user mounted what fstab does not let him")
    finally:
        node.run(f"cp {FSTAB} /etc/fstab")
