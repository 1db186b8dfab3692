# SPDX-License-Identifier: Apache-2.0
"""The block I/O library on real block devices and the guest's kernel: its own tests, write-through and flush on the shared SCSI disk, discard,
time-outs and freezes while a device-mapper device hangs, and what it says where io_uring or locked memory is not allowed."""

import shlex

from lablib import build
from lablib.protocol import DEVICE, PROGRAMS

LIMIT = 600
MARKERS = ["SELFTEST: blockio disk ok", "SELFTEST: blockio limits ok", "SELFTEST: blockio tests ok"]
EXPECTED = []
OWN_BOOT = True
WORK = "/run/blockio"
TESTS = ("RingTest", "BlockDeviceTest", "UringBlockDeviceTest", "ConfinedUringBlockDeviceTest")


def run(stage):
    node = stage.n1
    place = build.share_blockio_tests(stage.lab.share)

    def java(main, *properties):
        return " ".join((f"/host/{place}/jre/bin/java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx192m",
                         f"--enable-native-access=ALL-UNNAMED -Djava.io.tmpdir={WORK}", *properties,
                         f"-cp '/host/{place}/classes:/host/{place}/lib/*' org.mxfs.blockio.{main}"))

    node.run("modprobe -a dm-mod loop")
    _devices(stage, node, java)
    node.run(f"mkdir -p {WORK} && mkfs.xfs -q -f {DEVICE} && mount -t xfs {DEVICE} {WORK} && "
             f"chmod 1777 {WORK}")
    try:
        _limits(stage, node, java)
        # On a file of XFS on the shared disk: direct I/O with the disk's own blocks.
        done = node.run(java(f"RunTests {' '.join(TESTS)}"), timeout=LIMIT)
        stage.note(done.out.strip().splitlines()[-1])
        stage.marker("SELFTEST: blockio tests ok")
    finally:
        node.run(f"sysctl -q kernel.io_uring_disabled=0; umount {WORK}", check=False)


def _devices(stage, node, java):
    # tmpfs cannot zero a range; ext4 can, and so can a loop device on it.
    node.run(f"mkdir -p {WORK} && mount -t tmpfs -o size=200m tmpfs {WORK} && truncate -s 64m {WORK}/b {WORK}/base && "
             f"mkfs.ext4 -q {WORK}/base && mkdir {WORK}/fs && mount -o loop {WORK}/base {WORK}/fs && truncate -s 16m {WORK}/fs/a")
    try:
        discarding = node.run(f"losetup -f --show {WORK}/fs/a").out.strip()
        below = node.run(f"losetup -f --show {WORK}/b").out.strip()
        hanging = node.run(f"{PROGRAMS}/dm linear hanging {below}").out.strip()
        done = node.run(java("RunTests RealDisk", f"-Ddisk={DEVICE}", f"-Ddiscarding={discarding}", f"-Dhanging={hanging}",
                             "-Dhanging.name=hanging", f"-Ddm={PROGRAMS}/dm"), timeout=LIMIT)
        for line in done.out.splitlines():
            if " took " in line or " succeeded" in line:
                stage.note(line)
        stage.marker("SELFTEST: blockio disk ok")
    finally:
        node.run(f"{PROGRAMS}/dm resume hanging; {PROGRAMS}/dm remove hanging; losetup -D; umount {WORK}/fs; losetup -D; umount {WORK}", check=False)


def _limits(stage, node, java):
    """What a person is told, as an ordinary user with little locked memory and where io_uring is off."""
    node.run(f"truncate -s 8m {WORK}/file && chmod 666 {WORK}/file")

    def opened(form, user=""):
        command = "ulimit -l 64; " + java(f"TryOpen {WORK}/file {form}")
        done = node.run(f"{user}bash -c {shlex.quote(command)}", check=False)
        return done.rc, (done.out + done.err).strip()

    ordinary = "setpriv --reuid=1001 --regid=1001 --clear-groups "
    rc, said = opened("uring", ordinary)
    stage.same(rc, 1, f"status with 64 KiB of locked memory: {said}")
    for pattern in ("IORING_REGISTER_BUFFERS", "ENOMEM", "ulimit -l, now 65536 bytes", "withUnregisteredBuffers"):
        stage.matches(pattern, said, "what is said about locked memory")
    rc, said = opened("unregistered", ordinary)
    stage.same(rc, 0, f"status without registered buffers: {said}")
    stage.matches("buffers not registered", said, "what the device says of itself")
    node.run("sysctl -q kernel.io_uring_disabled=2")
    rc, said = opened("uring")
    stage.same(rc, 1, f"status where io_uring is off: {said}")
    for pattern in ("io_uring_setup", "EPERM", "kernel.io_uring_disabled is 2", "pread/pwrite"):
        stage.matches(pattern, said, "what is said about io_uring")
    rc, said = opened("system-calls")
    stage.same(rc, 0, f"status of the other backend where io_uring is off: {said}")
    stage.matches("pread and pwrite", said, "what the device says of itself")
    node.run("sysctl -q kernel.io_uring_disabled=0")
    rc, said = opened("uring")
    stage.same(rc, 0, f"status when io_uring is on again: {said}")
    stage.marker("SELFTEST: blockio limits ok")

