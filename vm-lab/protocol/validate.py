# SPDX-License-Identifier: Apache-2.0
"""`-o validate` looks and mounts nothing: ECANCELED and a message for a good volume, EINVAL or EUCLEAN for a bad one; no
daemon is started, no key registered, not one byte written."""

from lablib.protocol import DEVICE

LIMIT = 120
MARKERS = ["SELFTEST: validate ok"]
EXPECTED = []
START = f"dd if={DEVICE} bs=1M count=64 iflag=direct status=none | sha256sum"


def run(stage):
    node = stage.n1
    stage.mkfs()
    uuid = node.run(f"blkid -p -o value -s UUID {DEVICE}").out.strip()
    before = node.run(START).out
    started = node.run("cat /var/log/messages | grep -c mxfsd.*starting; true").out
    for _ in range(2):
        stage.refused(node, "ECANCELED", f"is valid: XFS {uuid}", "validate", log=f"valid: XFS {uuid}")
    # By mount(8) the exit status tells: 0 for a good one.
    done = node.run(f"mount -t mxfs -o validate {DEVICE} /mnt/shared", check=False)
    stage.check(done.rc == 0 and "valid" in done.out + done.err, f"mount -o validate: status {done.rc}, {done.out + done.err}")
    stage.check(" mxfs " not in node.run("cat /proc/mounts").out, "mount -o validate mounted something")
    stage.same(node.run(START).out, before, "the device after validate")

    node.run(f"dd if=/dev/zero of={DEVICE} bs=4 count=1 seek=10 oflag=direct conv=notrunc status=none || "
             f"printf '\\377' | dd of={DEVICE} bs=1 seek=60 conv=notrunc,fsync status=none")
    stage.refused(node, "EUCLEAN", "checksum", "validate", log="checksum")
    node.run(f"dd if=/dev/zero of={DEVICE} bs=1M count=1 oflag=direct status=none")
    stage.refused(node, "EINVAL", "no XFS here.*zeros", "validate", log="no XFS here")
    done = node.run(f"mount -t mxfs -o validate {DEVICE} /mnt/shared", check=False)
    stage.check(done.rc not in (0, 124) and "not valid" in done.out + done.err,
                f"mount -o validate of nothing: status {done.rc}, {done.out + done.err}")
    stage.same(node.run("cat /var/log/messages | grep -c mxfsd.*starting; true").out, started, "daemons started by validate")
    stage.same(stage.leftovers(node), [], "after validate")
    stage.same(stage.keys(node), [], "keys after validate")

    # Beside a mounted volume, on the node that owns it and on the other one.
    stage.mkfs()
    stage.mount(node)
    stage.refused(stage.n2, "ECANCELED", "is valid", "validate")
    stage.refused(node, "EBUSY", "already mounted", "validate")
    stage.umount(node)
    stage.marker("SELFTEST: validate ok")
