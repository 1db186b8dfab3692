# SPDX-License-Identifier: Apache-2.0
"""A daemon that comes to a bad end, or is slow to tell: it dies or is never ready once XFS is attached, asks for the volume in the middle of
an umount, reads nothing, tells of a lease that is over, its first thread ends, its last thread lingers. The daemon here is mxfsd_solo of tests/c."""

import time

from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 240
ETIME = 62
MARKERS = ["SELFTEST: umount under detach ok", "SELFTEST: bad ends of a daemon ok"]
EXPECTED = []


def run(stage):
    node = stage.n1
    stage.mkfs()
    with stage.solo(node) as daemon:
        _umount_under_detach(stage, node, daemon)
        stage.marker(MARKERS[0])
        try:
            for part in (_not_ready, _full_socket, _stale_lease, _second_thread, _lingers):
                part(stage, node, daemon)
        finally:
            node.run(f"{PROGRAMS}/dm resume slow; {PROGRAMS}/dm remove slow; losetup -D; rm -f /run/disk", check=False)
        stage.marker(MARKERS[1])


def _umount_under_detach(stage, node, daemon, turns=5):
    """The volume is asked for at many moments of an umount, which writes what was stored through maps."""
    daemon("")
    for turn in range(turns):
        stage.mount(node, "quantum_ms=0")
        node.run(f"mkdir -p {PLACE}/u && {PROGRAMS}/map_many {PLACE}/u 400 4096 && pid=$(pidof mxfsd_solo) && "
                 f"{{ (sleep {turn * 0.03:.2f}; kill -USR1 $pid) & umount {PLACE}; }}; s=$?; wait; exit $s", timeout=60)
    stage.same(stage.leftovers(node), [], "after umount under detach")


def _not_ready(stage, node, daemon):
    for options, errno, pattern in (("--die-attached", "EIO", "ended before it was ready"),
                                    ("--never-ready --lease 1000", "ETIMEDOUT", "not ready within 3000 ms")):
        daemon(options)
        began = time.monotonic()
        trial = stage.start(node, f"{PROGRAMS}/try_mount mxfs {DEVICE} {PLACE} ready_ms=3000")
        if "never" in options:
            stage.until(lambda: node.run("grep -c attached /sys/kernel/debug/mxfs/*/status", check=False).out.strip() == "1", 20, "XFS to be attached")
            stage.ends(node, "sync", 20, "sync of everything while a mount fails")
        said = trial.finish(40).out
        stage.check(f"errno {errno}" in said and pattern in said, f"mount with a daemon that does {options}: {said}")
        stage.note(f"{options}: {time.monotonic() - began:.1f} s")
        stage.same(stage.leftovers(node), [], f"after a daemon that does {options}")
        stage.check(not node.run("pidof mxfsd_solo", check=False).out, f"a daemon that does {options} is still there")


def _full_socket(stage, node, daemon):
    """A result that the socket had no room for is sent again."""
    daemon("--full-socket")
    stage.mount(node)
    stage.umount(node)


def _stale_lease(stage, node, daemon):
    """The lease ends when the daemon said, whenever the message arrives."""
    daemon("--stale-lease")
    stage.mount(node)
    node.run(f"kill -USR2 {_solo(node)}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 20, "a lease that was over when it arrived to be over")
    done = node.run(f"timeout -s KILL 2 cat {PLACE}/u/m0 || exit $?", check=False, timeout=40)
    stage.check(done.rc in (124, 137), f"a read past the lease was answered: status {done.rc}")
    # Nor is XFS mounted again: its log would be replayed, and another node may own the volume by then.
    stage.detach_solo(node)
    mark = stage.mark(node)
    node.run(f"rm -f /run/mxfsd_solo.log; timeout -s KILL 4 cat {PLACE}/u/m0 || true", timeout=40)
    heard = node.run("cat /run/mxfsd_solo.log").out.split("\n")
    stage.check(len(heard) > 2 and set(heard[:-1]) == {f"attached {ETIME}"}, f"what the daemon heard of ATTACH past the lease: {heard}")
    stage.same([stage.status(node)["state"], stage.kernel_log(node, mark).count("Mounting")], ["detached", 0], "XFS, past the lease")
    stage.ends(node, f"umount {PLACE}", 20, "umount past the lease")


def _second_thread(stage, node, daemon):
    """A first thread that ended is no dead daemon."""
    daemon("--second-thread")
    stage.mount(node)
    node.run(f"echo thread >{PLACE}/thread; cat {PLACE}/thread")
    stage.same(stage.status(node)["daemon_starts"], "1", "daemons, where the first thread ended")
    stage.umount(node)


def _lingers(stage, node, daemon):
    """A thread that hangs in the kernel may still do something to the disk: no other daemon starts before it is gone."""
    node.run("modprobe dm-mod; truncate -s 1M /run/disk")
    loop = node.run("losetup -f --show /run/disk").out.strip()
    slow = node.run(f"{PROGRAMS}/dm linear slow {loop}").out.strip()
    daemon(f"--linger {slow}")
    stage.mount(node)
    node.run(f"{PROGRAMS}/dm suspend slow")
    pid = _solo(node)
    stage.until(lambda: " D " in node.run(f"cat /proc/{pid}/task/*/stat", check=False).out, 20, "a thread to hang")
    mark = stage.mark(node)
    node.run(f"kill -USR2 {pid}")
    stage.until(lambda: stage.status(node)["frozen"] == "1", 20, "the mount to be frozen")
    stage.until(lambda: "does not die" in stage.kernel_log(node, mark), 40, "word of a daemon that does not die")
    stage.same(stage.status(node)["daemon_starts"], "1", "daemons, while a thread of the first one hangs")
    node.run(f"{PROGRAMS}/dm resume slow")
    stage.until(lambda: "a new daemon" in stage.kernel_log(node, mark), 40, "the new daemon to take over")
    stage.same(node.run(f"cat {PLACE}/thread", timeout=40).out, "thread\n", "with the new daemon")
    # And umount ends, but the next mount is refused until it is gone.
    node.run(f"{PROGRAMS}/dm suspend slow")
    pid = _solo(node)
    stage.until(lambda: " D " in node.run(f"cat /proc/{pid}/task/*/stat", check=False).out, 20, "a thread to hang")
    stage.ends(node, f"umount {PLACE}", 40, "umount while a thread of the daemon hangs")
    stage.refused(node, "EBUSY", "earlier daemon", what="mount while a thread of an earlier daemon hangs")
    node.run(f"{PROGRAMS}/dm resume slow")
    stage.until(lambda: not node.run("pidof mxfsd_solo", check=False).out, 20, "the daemon to be gone")
    stage.mount(node)
    stage.umount(node)
    node.run(f"{PROGRAMS}/dm remove slow; losetup -d {loop}")


def _solo(node):
    return int(node.run("pidof mxfsd_solo", check=False).out.split()[0])
