# SPDX-License-Identifier: Apache-2.0
"""What people put on a volume, and do to it, while two nodes have it mounted: bind mounts, overlayfs below and above, and what is refused."""

from lablib.protocol import PLACE

LIMIT = 180
MARKERS = ["SELFTEST: bind mounts ok", "SELFTEST: overlay ok", "SELFTEST: refused in words ok"]
EXPECTED = []

BOUND, MERGED = "/mnt/bound", "/mnt/merged"


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    _bind(stage, n1, n2)
    stage.marker("SELFTEST: bind mounts ok")
    _overlay(stage, n1, n2)
    stage.marker("SELFTEST: overlay ok")
    _refused(stage, n1, n2)
    stage.marker("SELFTEST: refused in words ok")
    for node in (n1, n2):
        stage.umount(node)
    stage.repair()


def _bind(stage, n1, n2):
    n1.run(f"mkdir -p {PLACE}/in/deep {BOUND} && mount --bind {PLACE}/in {BOUND} && echo here >{BOUND}/deep/f")
    stage.same(n2.run(f"cat {PLACE}/in/deep/f && echo there >>{PLACE}/in/deep/f && cat {PLACE}/in/deep/f").out, "here\nhere\nthere\n", "the other node")
    stage.same(n1.run(f"cat {BOUND}/deep/f").out, "here\nthere\n", "through the bind mount, after the other node wrote")
    n1.run(f"mount -o remount,bind,ro {BOUND}")
    stage.matches("Read-only file system", n1.run(f"echo no >>{BOUND}/deep/f", check=False).err, "writing to a bind mount that is read-only")
    n1.run(f"echo yes >>{PLACE}/in/deep/f")
    # The volume is in use as long as the bind mount is there, also without the mount that it was made from.
    n1.run(f"umount {PLACE}")
    stage.same(n2.run(f"cat {PLACE}/in/deep/f").out, "here\nthere\nyes\n", "the other node, with the bind mount alone left")
    stage.same(n1.run(f"cat {BOUND}/deep/f").out, "here\nthere\nyes\n", "the bind mount alone")
    n1.run(f"umount {BOUND}")
    stage.check(stage.daemon_pid(n1) is None, "no daemon is left when the last bind mount is gone")
    stage.mount(n1)
    n1.run(f"touch {PLACE}/one && : >/mnt/file && mount --bind {PLACE}/one /mnt/file && echo file >/mnt/file")
    stage.same(n2.run(f"cat {PLACE}/one").out, "file\n", "a file that is bound elsewhere")
    n1.run(f"umount /mnt/file; rm /mnt/file; rmdir {BOUND}")


def _overlay(stage, n1, n2):
    """Layers of containers. The lower one is read on both nodes at once; an upper one belongs to one node."""
    n1.run(f"mkdir -p {PLACE}/image/etc && echo image >{PLACE}/image/etc/f && echo gone >{PLACE}/image/etc/g")
    for node in (n1, n2):
        node.run(f"mkdir -p {MERGED} {PLACE}/{node.name}/upper {PLACE}/{node.name}/work && "
                 f"mount -t overlay -o lowerdir={PLACE}/image,upperdir={PLACE}/{node.name}/upper,workdir={PLACE}/{node.name}/work overlay {MERGED}")
    for node in (n1, n2, n1):
        stage.same(node.run(f"cat {MERGED}/etc/f").out.splitlines()[0], "image", f"{node.name}: the lower layer")
        node.run(f"echo {node.name} >>{MERGED}/etc/f && rm -f {MERGED}/etc/g && mkdir -p {MERGED}/new && mv {MERGED}/etc/f {MERGED}/new/f && mv {MERGED}/new/f {MERGED}/etc/f")
    stage.same(n1.run(f"cat {MERGED}/etc/f; ls {MERGED}/etc").out, "image\nnode1\nnode1\nf\n", "node1: what its layers make")
    stage.same(n2.run(f"cat {MERGED}/etc/f; ls {MERGED}/etc").out, "image\nnode2\nf\n", "node2: what its layers make")
    stage.same(n2.run(f"cat {PLACE}/image/etc/f {PLACE}/node1/upper/etc/f; ls {PLACE}/image/etc").out, "image\nimage\nnode1\nnode1\nf\ng\n", "the layers themselves, on the other node")
    # A program that has a file of the merged tree open while the volume goes to the other node and comes back.
    n1.run(f"exec 3<>{MERGED}/etc/f; cat <&3 >/dev/null; umount -l {MERGED}; echo open >&3; sync -f {PLACE}; exec 3>&-")
    stage.same(n2.run(f"tail -n1 {PLACE}/node1/upper/etc/f").out, "open\n", "what was written through a merged tree that was unmounted")
    n2.run(f"umount {MERGED}")
    # Only now may another node have that upper layer.
    n2.run(f"mount -t overlay -o lowerdir={PLACE}/image,upperdir={PLACE}/node1/upper,workdir={PLACE}/node1/work overlay {MERGED}")
    stage.same(n2.run(f"cat {MERGED}/etc/f; ls {MERGED}/etc; umount {MERGED}").out, "image\nnode1\nnode1\nopen\nf\n", "the upper layer of node1 on node2")


def _refused(stage, n1, n2):
    """What mxfs does not do is refused, changes nothing, and leaves the volume at work on both nodes."""
    stage.matches("not supported", n1.run(f"fsfreeze -f {PLACE}", check=False).err, "fsfreeze")
    stage.matches("is not a mounted XFS filesystem", n1.run(f"xfs_growfs {PLACE}", check=False).err, "xfs_growfs")
    n1.run(f"dd if=/dev/zero of={PLACE}/swap bs=64k count=16 status=none && chmod 600 {PLACE}/swap && mkswap {PLACE}/swap >/dev/null")
    stage.matches("Invalid argument", n1.run(f"swapon {PLACE}/swap", check=False).err, "swapon")
    stage.same(n1.run("tail -n+2 /proc/swaps").out, "", "swap areas")
    mapped = "mount --bind -o X-mount.idmap=b:0:100000:1000"
    n1.run(f"mkdir -p /mnt/mapped /mnt/plain && mount -t tmpfs none /mnt/plain && {mapped} /mnt/plain /mnt/mapped && umount /mnt/mapped /mnt/plain")
    stage.matches("Invalid argument", n1.run(f"{mapped} {PLACE} /mnt/mapped", check=False).err, "an idmapped mount")
    n1.run("rmdir /mnt/mapped /mnt/plain")
    stage.same(n2.run(f"echo on >{PLACE}/on && cat {PLACE}/on").out, "on\n", "the other node goes on")
    stage.same(n1.run(f"cat {PLACE}/on").out, "on\n", "and this one")
