# SPDX-License-Identifier: Apache-2.0
"""The device that was mounted stays the one that is claimed, fenced and written, whatever becomes of its name: a relative one, one in a
chroot or in a private mount namespace only, one that now means a copy with the same UUID."""

import shlex

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 200
MARKERS = ["SELFTEST: device names ok"]
EXPECTED = []
SIZE_MIB = 320
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
    finally:
        n1.run(f"umount {WORK}/jail/dev {WORK}/jail {WORK}/dev; losetup -D; rm -rf {WORK}/dev {WORK}/copy {WORK}/before", check=False)
    stage.umount(n2)
    stage.repair()
    stage.marker("SELFTEST: device names ok")


def _turns(stage, n1, n2, what, here=PLACE, run=None):
    """The volume goes from n1 to n2 and back, and each sees what the other wrote. @run: runs a command where the mount is seen."""
    run = run or (lambda command: n1.run(command).out)
    for turn in range(2):
        text = f"{what} {turn}"
        run(f"echo n1 {text} >{here}/n1")
        stage.same(n2.run(f"cat {PLACE}/n1 && echo n2 {text} >{PLACE}/n2").out, f"n1 {text}\n", f"{what}: on the other node")
        stage.same(run(f"cat {here}/n2"), f"n2 {text}\n", f"{what}: after the volume came back")


def _relative(stage, n1, n2):
    """mount(8) makes names absolute, mount(2) does not."""
    out = n1.run(f"cd /dev && {PROGRAMS}/try_mount mxfs {DEVICE[5:]} {PLACE}", check=False).out
    stage.matches("^errno 0", out, "mount by a relative name")
    _turns(stage, n1, n2, "a relative name")
    stage.umount(n1)


def _chroot(stage, n1, n2):
    n1.run(f"{SET_UP} && mount --bind / {WORK}/jail && mount -t tmpfs tmpfs {WORK}/jail/dev && mknod {WORK}/jail/dev/vol b $number && "
           f"chroot {WORK}/jail mount -t mxfs /dev/vol {PLACE}")
    _turns(stage, n1, n2, "a name in a chroot", f"{WORK}/jail{PLACE}")
    n1.run(f"test -e /sys/kernel/debug/mxfs/{DEVICE[5:]}/status")
    stage.umount(n1, f"{WORK}/jail{PLACE}")
    n1.run(f"umount {WORK}/jail/dev && umount {WORK}/jail")


def _namespace(stage, n1, n2):
    inside = stage.start(n1, f"{SET_UP} && exec unshare -m sh -c 'mount -t tmpfs tmpfs {WORK}/dev && mknod {WORK}/dev/vol b '\"$number\"' && "
                             f"mount -t mxfs {WORK}/dev/vol {PLACE} && echo mounted && read end; umount {PLACE}; echo unmounted $?'")
    stage.same(inside.line(60), "mounted", "a mount in a namespace of its own")
    pid = n1.run("pgrep -f '^sh -c mount -t tmpfs'").out.split()[0]
    _turns(stage, n1, n2, "a name in a private namespace", PLACE, 
           lambda command: n1.run(f"nsenter -t {pid} -m sh -c {shlex.quote(command)}").out)
    inside.process.stdin.write(b"\n")
    inside.process.stdin.flush()
    stage.same(inside.line(60), "unmounted 0", "the unmount in the namespace")
    inside.close()


def _copy(stage, n1, n2):
    """A name that came to mean a copy of the volume, with its UUID, while another node owned it."""
    n1.run(f"{SET_UP} && mount -t tmpfs tmpfs {WORK}/dev && mknod {WORK}/dev/vol b $number") # /run has no devices
    stage.mount(n1, device=f"{WORK}/dev/vol")
    n1.run(f"echo before >{PLACE}/f && sync")
    n2.run(f"cat {PLACE}/f && sync")
    # The other node has it; the disk is at rest.
    device = n1.run(f"dd if={DEVICE} of={WORK}/copy bs=1M count={SIZE_MIB} iflag=direct conv=sparse status=none && "
                    f"cp --sparse=always {WORK}/copy {WORK}/before && losetup -f --show {WORK}/copy").out.strip()
    n1.run(f"rm {WORK}/dev/vol && mknod {WORK}/dev/vol b $(stat -c '%Hr %Lr' {device})")
    stage.same(n1.run(f"blkid -s UUID -o value {WORK}/dev/vol").out, n1.run(f"blkid -s UUID -o value {DEVICE}").out, "the UUID of the copy")
    _turns(stage, n1, n2, "a name that means a copy now")
    stage.umount(n1)
    n1.run(f"sync && losetup -d {device} && cmp {WORK}/copy {WORK}/before && umount {WORK}/dev")
