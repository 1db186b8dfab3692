# SPDX-License-Identifier: Apache-2.0
"""The device that was mounted stays the one that is claimed, fenced and written, whatever becomes of its name: a relative one, one in a
chroot or in a private mount namespace only, one that now means a copy with the same UUID. Tools find the device by what is
mounted. A volume that is mounted is not mounted by a second device."""

import shlex

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 180
MARKERS = ["SELFTEST: device names ok"]
EXPECTED = []
SIZE_MIB = 320
SECOND = "/mnt/second"
WORK = "/run/device"
SET_UP = f"mkdir -p {WORK}/dev {WORK}/jail && number=$(stat -c '%Hr %Lr' {DEVICE})"


def run(stage):
    n1, n2 = stage.lab.nodes[:2]
    # Small, because a copy of it goes into memory.
    stage.mkfs(options=f"-d size={SIZE_MIB}m")
    stage.mount(n2)
    try:
        _relative(stage, n1, n2)
        _chroot(stage, n1, n2)
        _namespace(stage, n1, n2)
        _copy(stage, n1, n2)
        _numbers(stage, n1, n2)
    finally:
        n1.run(f"umount {WORK}/jail/dev {WORK}/jail {WORK}/dev; losetup -D; rm -rf {WORK}/dev {WORK}/copy", check=False)
    stage.umount(n2)
    stage.repair()
    stage.marker("SELFTEST: device names ok")


def _turns(stage, n1, n2, what, here=PLACE, run=None):
    """The volume goes from n1 to n2 and back, and each sees what the other wrote. @run: runs a command where the mount is seen."""
    run = run or (lambda command: n1.run(command).out)
    run(f"echo n1 {what} >{here}/n1")
    stage.same(n2.run(f"cat {PLACE}/n1 && echo n2 {what} >{PLACE}/n2").out, f"n1 {what}\n", f"{what}: on the other node")
    stage.same(run(f"cat {here}/n2"), f"n2 {what}\n", f"{what}: after the volume came back")


def _relative(stage, n1, n2):
    """mount(8) makes names absolute, mount(2) does not."""
    out = n1.run(f"cd /dev && {PROGRAMS}/try_mount mxfs {DEVICE[5:]} {PLACE}", check=False).out
    stage.matches("^errno 0", out, "mount by a relative name")
    _turns(stage, n1, n2, "a relative name")
    stage.umount(n1)


def _chroot(stage, n1, n2):
    n1.run(f"{SET_UP} && mount --bind / {WORK}/jail && mount -t tmpfs tmpfs {WORK}/jail/dev && mknod {WORK}/jail/dev/vol b $number && "
           f"chroot {WORK}/jail {stage.mount_command()} /dev/vol {PLACE}")
    _turns(stage, n1, n2, "a name in a chroot", f"{WORK}/jail{PLACE}")
    n1.run(f"test -e /sys/kernel/debug/mxfs/{DEVICE[5:]}/status")
    stage.umount(n1, f"{WORK}/jail{PLACE}")
    n1.run(f"umount {WORK}/jail/dev && umount {WORK}/jail")


def _namespace(stage, n1, n2):
    inside = stage.start(n1, f"{SET_UP} && exec unshare -m sh -c 'mount -t tmpfs tmpfs {WORK}/dev && mknod {WORK}/dev/vol b '\"$number\"' && "
                             f"{stage.mount_command()} {WORK}/dev/vol {PLACE} && echo mounted && read end; umount {PLACE}; echo unmounted $?'")
    stage.same(inside.line(60), "mounted", "a mount in a namespace of its own")
    pid = n1.run("pgrep -f '^sh -c mount -t tmpfs'").out.split()[0]
    _turns(stage, n1, n2, "a name in a private namespace", PLACE,
           lambda command: n1.run(f"nsenter -t {pid} -m sh -c {shlex.quote(command)}").out)
    inside.tell("")
    stage.same(inside.line(60), "unmounted 0", "the unmount in the namespace")
    inside.close()


def _copy(stage, n1, n2):
    """A name that came to mean a copy of the volume, with its UUID, while another node owned it."""
    n1.run(f"{SET_UP} && mount -t tmpfs tmpfs {WORK}/dev && mknod {WORK}/dev/vol b $number")  # /run has no devices
    stage.mount(n1, device=f"{WORK}/dev/vol")
    n1.run(f"echo before >{PLACE}/f && sync")
    n2.run(f"cat {PLACE}/f && sync")
    # The other node has it; the disk is at rest.
    device = n1.run(f"dd if={DEVICE} of={WORK}/copy bs=1M count={SIZE_MIB} iflag=direct conv=sparse status=none && "
                    f"losetup -f --show {WORK}/copy").out.strip()

    def written():
        """In sectors, which a flush has none of; and counted since the node was booted."""
        return n1.run(f"sync; awk '{{print $7}}' /sys/block/{device.rpartition('/')[2]}/stat").out

    before = written()
    n1.run(f"rm {WORK}/dev/vol && mknod {WORK}/dev/vol b $(stat -c '%Hr %Lr' {device})")
    stage.same(n1.run(f"blkid -s UUID -o value {WORK}/dev/vol").out, n1.run(f"blkid -s UUID -o value {DEVICE}").out, "the UUID of the copy")
    _turns(stage, n1, n2, "a name that means a copy now")
    # As by a second path to the same disk; nouuid, or XFS would refuse it where it is attached.
    n1.run(f"mkdir -p {SECOND}")
    stage.refused(n1, "EBUSY", "is mounted on this node by", "nouuid", device=device, place=SECOND, what="mount of a volume that is mounted by another device")
    stage.umount(n1)
    stage.same(written(), before, "sectors of the copy that were written")
    n1.run(f"losetup -d {device} && umount {WORK}/dev")


def _numbers(stage, node, other):
    """stat(2) says the device's own number, at each mount; the UUID can be asked for by a file."""
    number = node.run(f"stat -c %Hr:%Lr {DEVICE}").out.strip()
    uuid = node.run(f"blkid -p -s UUID -o value {DEVICE}").out.strip()
    for turn in range(2):
        stage.mount(node)
        node.run(f"touch {PLACE}/f")
        stage.same(node.run(f"stat -c %Hd:%Ld {PLACE} {PLACE}/f").out.split(), [number] * 2, "st_dev")
        stage.matches(rf" {number} / {PLACE} .* - mxfs ", node.run("cat /proc/self/mountinfo").out, "/proc/self/mountinfo")
        # FS_IOC_GETFSUUID: _IOR(0x15, 0, struct fsuuid2), a byte of length and 16 of UUID; perl's buffer is longer
        out = node.run(f"perl -e 'open(F, \"<\", \"{PLACE}/f\") or die; $b = \"\\0\" x 17; ioctl(F, 0x80111500, $b) or die \"$!\"; print unpack(\"H*\", $b)'").out
        stage.same(out[:34], "10" + uuid.replace("-", ""), "FS_IOC_GETFSUUID")
        if turn:
            _tail(stage, node, other)
        stage.umount(node)


def _tail(stage, n1, n2):
    """tail -f asks for changes instead of waiting for a local one: it takes an unknown f_type for a network's."""
    n2.run(f"echo one >{PLACE}/log")
    tail = stage.start(n1, f"tail -f -s 0.2 {PLACE}/log")
    stage.same(tail.line(30), "one", "tail -f")
    n2.run(f"echo two >>{PLACE}/log")
    stage.same(tail.line(30), "two", "tail -f, of what the other node appended")
    n1.run("pkill -x tail")
    tail.close()
