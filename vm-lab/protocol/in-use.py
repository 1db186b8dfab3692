# SPDX-License-Identifier: Apache-2.0
"""A device that is in use is left alone: no mxfs mount of what is mounted as xfs or held; and while mxfs has it, neither mount -t xfs
nor mkfs nor another program gets it, on the owner as on a member. And what is reserved is the disk that is mounted, whatever its name."""

from lablib.protocol import DEVICE

LIMIT = 150
MARKERS = ["SELFTEST: device in use ok"]
EXPECTED = []
OWN_BOOT = True


def run(stage):
    n1, n2 = stage.lab.nodes[:2]
    stage.mkfs()
    n1.run(f"mkdir -p /mnt/other && mount -t xfs {DEVICE} /mnt/other && echo kept >/mnt/other/f")
    stage.refused(n1, "EBUSY", "exclusively", what="mount of what is mounted as xfs", log="not mounted.*exclusively")
    stage.same(n1.run("cat /mnt/other/f").out, "kept\n", "the xfs mount")
    n1.run("umount /mnt/other")
    # Held by a program: O_EXCL, as mkfs, md and device-mapper do.
    holder = stage.start(n1, f"perl -e 'use Fcntl; sysopen(F, \"{DEVICE}\", O_RDWR | O_EXCL) or die; "
                             "$| = 1; print \"held\\n\"; <STDIN>;'")
    stage.same(holder.line(20), "held", "the holder")
    stage.refused(n1, "EBUSY", "exclusively", what="mount of what is held", log="not mounted.*exclusively")
    holder.close()

    stage.mount(n1)
    stage.mount(n2)
    n1.run("echo 1 >/mnt/shared/n1")
    n2.run("echo 2 >/mnt/shared/n2")
    stage.until(lambda: stage.owner(), 10, "an owner")
    owner = stage.owner()
    member = n2 if owner is n1 else n1
    for node, role in ((owner, "owner"), (member, "member")):
        stage.same(stage.status(node)["state"], "attached" if role == "owner" else "detached", f"{node.name}: state")
        tried = stage.try_mount(node, device=DEVICE, place="/mnt", kind="xfs")
        stage.same(tried.errno, "EBUSY", f"mount -t xfs on the {role}")
        done = node.run(f"mkfs.xfs -q -f {DEVICE}", check=False)
        stage.check(done.rc != 0, f"mkfs.xfs -f on the {role} was not refused")
        stage.matches("busy|mounted|in use|Resource", done.err + done.out, f"mkfs.xfs on the {role}")
        done = node.run(f"xfs_repair {DEVICE}", check=False)
        stage.check(done.rc != 0, f"xfs_repair on the {role} was not refused")
        # A second mount of the same device on one node is the same file system.
        node.run(f"mkdir -p /mnt/second && mount -t mxfs {DEVICE} /mnt/second && cmp /mnt/second/n1 /mnt/shared/n1 && umount /mnt/second")
        stage.refused(node, "EBUSY", "already mounted", "ro", what="a read-only mount of what is mounted read-write")
    stage.same(n1.run("cat /mnt/shared/n1 /mnt/shared/n2").out, "1\n2\n", "the volume afterwards")
    stage.same(n2.run("cat /mnt/shared/n1 /mnt/shared/n2").out, "1\n2\n", "the volume afterwards")
    for node in (n1, n2):
        stage.umount(node)
    # Given back: both node's tools may have it now.
    for node in (n1, n2):
        stage.repair(node)
    n1.run(f"mount -t xfs {DEVICE} /mnt/shared && cat /mnt/shared/n1 /mnt/shared/n2 && umount /mnt/shared")

    # Under another name, with letters that no locale of the daemon has, and the kernel's name for it is another device's here: the daemon
    # opens the number.
    number = n1.run(f"stat -c '%Hr %Lr' {DEVICE}").out.strip()
    n1.run(f"mkdir -p /root/dv && mknod /root/dv/täst b {number} && rm {DEVICE} && cp -a /dev/loop0 {DEVICE}")
    try:
        stage.mount(n1, device="/root/dv/täst")
        stage.same(stage.status(n1)["state"], "attached", "mounted by another name: state")
        keys = stage.keys(n2)
        stage.same(len(keys), 1, f"registered keys of the disk that is mounted by another name: {keys}")
        stage.same(stage.holder(n2), keys[0], "who has it reserved")
        stage.same(n1.run("stat -c %a /dev/.mxfs; ls /dev/.mxfs").out, "700\n", "what is left of the daemon's own node")
        stage.umount(n1)
    finally:
        n1.run(f"rm -f {DEVICE} && mknod {DEVICE} b {number}; rm -r /root/dv /dev/.mxfs", check=False)
    stage.marker("SELFTEST: device in use ok")
