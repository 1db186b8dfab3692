# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon, on the owner and on a member, idle and in the middle of work: the mount freezes, a new daemon takes over the same
registration, work goes on, nothing is lost. Killed too often, the mount shuts down and can be unmounted."""

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 300
MARKERS = ["SELFTEST: daemon killed ok"]
# What the end of this script does on purpose.
EXPECTED = [r"XFS \(sda\): .*[Ss]hut"]


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    stage.check(n1.run("ls /run/mxfs/*.switches", check=False).rc != 0, "settings are kept where nothing is switched on")
    a, b = stage.keeper(n1), stage.keeper(n2)
    for keeper in (a, b):
        keeper.ok(f"chdir {PLACE}")
    a.ok("open 1 f +c")
    a.ok("write 1 0 50000 1")
    a.ok("map 1 50000")
    a.ok("store 1 0 25000 2")
    b.ok("open 1 f +")
    b.ok("check 1 0 25000 2")
    a.ok("store 1 0 50000 3")
    nodes = _registered(stage)
    stage.same(stage.owner(), n1, "the owner")

    for node, keeper, other, role in ((n1, a, b, "owner"), (n2, b, a, "member")):
        old = stage.daemon_pid(node)
        mark = stage.mark(node)
        node.run(f"kill -9 {old}")
        # The next operation waits for the new daemon and succeeds; it sees no error.
        keeper.ok("write 1 10000 100 4", limit=60)
        keeper.ok("check 1 10000 100 4")
        stage.until(lambda: stage.daemon_pid(node) not in (None, old), 60, f"a new daemon on the {role}")
        stage.matches("daemon .* is gone; the mount is frozen", stage.kernel_log(node, mark), "the kernel log")
        stage.until(lambda: "a new daemon" in stage.kernel_log(node, mark), 60, f"the new daemon to take over on the {role}")
        other.ok("check 1 10000 100 4")
        other.ok("check 1 20000 30000 3")
        keeper.ok("check 1 20000 30000 3")
        # A daemon that starts while XFS is not mounted here takes a new key in the place of the old one.
        stage.same(_registered(stage), nodes, f"the nodes that are registered after the daemon of the {role} died")
    stage.note("idle: owner and member go on")

    # A daemon that starts without XFS takes a new key. What was kept under the old one is found again: while it is held, and to let it go.
    a.ok("open 2 nameless +c")
    a.ok("write 2 0 1000 5")
    a.ok("unlink nameless")
    b.ok("check 1 20000 30000 3")  # node2 owns
    mark, old = stage.mark(n1), stage.daemon_pid(n1)
    n1.run(f"kill -9 {old}")
    stage.until(lambda: "a new daemon" in stage.kernel_log(n1, mark), 60, "the new daemon to take over")
    a.ok("check 2 0 1000 5", limit=60)
    a.ok("close 2")
    n1.run(f"touch {PLACE}/turn")
    stage.until(lambda: n1.run("cat /sys/kernel/debug/mxfs/*/orphans | wc -l").out.strip() == "0", 20, "a file without a name that is closed to be gone")

    # In the middle of work on both nodes, once on each.
    n1.run(f"mkdir {PLACE}/common")
    programs = [stage.start(node, f"{PROGRAMS}/stress {PLACE}/common {node.number} 3 20") for node in (n1, n2)]
    for node in (n1, n2):
        stage.until(lambda: int(n1.run(f"ls {PLACE}/common | wc -l").out) > 10, 60, "work to be done")
        old = stage.daemon_pid(node)
        node.run(f"kill -9 {old}")
        stage.until(lambda: stage.daemon_pid(node) not in (None, old), 60, f"a new daemon on {node.name}")
    for node, program in zip((n1, n2), programs):
        done = program.finish(150)
        stage.check(done.rc == 0, f"{node.name}: work under a dying daemon: status {done.rc}: {done.out}")
        stage.note(f"{node.name}: {done.out.strip()}")
    for node, other in ((n1, n2), (n2, n1)):
        node.run(f"{PROGRAMS}/stress {PLACE}/common {other.number} check", timeout=60)
    a.close()
    b.close()

    _killed_too_often(stage, n1, n2)

    # An umount right after the kill asks the next daemon to leave, also where it begins before the old one's port is gone.
    n2.run(f"kill -9 {stage.daemon_pid(n2)}; umount {PLACE}", timeout=60)
    stage.same(stage.leftovers(n2), [], "after kill and umount")
    stage.same(len(stage.keys(n1)), 1, "registered keys after kill and umount")
    stage.mount(n2)
    _unmounted_before_its_port_is_gone(stage, n2)
    stage.same(len(stage.keys(n1)), 1, "registered keys after an umount that found the port of a dead daemon")
    stage.umount(n1)
    stage.until(lambda: not stage.keys(n1), 20, "all keys to be gone")
    stage.repair()
    stage.marker("SELFTEST: daemon killed ok")


def _unmounted_before_its_port_is_gone(stage, node):
    pid = stage.daemon_pid(node)
    holder = stage.start(node, f"{PROGRAMS}/port_held {pid}")
    stage.matches("^held [1-9]", holder.line(20), "the daemon's netlink sockets")
    node.run(f"kill -9 {pid}")
    umount = stage.start(node, f"umount {PLACE}")
    stage.until(lambda: "mxfs_daemon" in node.run("cat /proc/$(pgrep -x umount)/stack", check=False).out, 20, "umount to ask the daemon to leave")
    holder.tell("")
    stage.same(holder.finish(20).rc, 0, "letting the sockets go")
    done = umount.finish(60)
    stage.same(done.rc, 0, f"umount: {done.out}")
    stage.same(stage.leftovers(node), [], "after an umount that found the port of a dead daemon")


def _registered(stage):
    """The nodes whose keys are registered: each key's high half, once for each key."""
    return sorted(int(key, 16) >> 32 for key in stage.keys(stage.n1))


def _killed_too_often(stage, n1, n2):
    """A daemon that keeps dying ends in a shutdown of this mount; umount works, and the next mount is a new start.

    The other node owns the volume and does not notice. (Where the one that is shut down owned it, the others wait until it mounts again.)
    """
    n1.run(f"echo n1 >{PLACE}/other")
    stage.same(stage.owner(), n1, "the owner")
    mark, last = stage.mark(n2), None
    for _ in range(12):
        if "died too often" in stage.kernel_log(n2, mark):
            break
        pid = stage.until(lambda: stage.daemon_pid(n2) not in (None, last) and stage.daemon_pid(n2)
                          or "died too often" in stage.kernel_log(n2, mark) and -1, 60, f"a new daemon on {n2.name}")
        if pid > 0:
            n2.run(f"kill -9 {pid}", check=False)
            last = pid
    stage.matches("shutting down: the daemon died too often; unmount it and mount it again", stage.kernel_log(n2, mark), "the kernel log")
    done = n2.run(f"cat {PLACE}/f", check=False, timeout=30)
    stage.check(done.rc != 0 and "Input/output error" in done.err, f"reading a mount that was shut down: status {done.rc}, {done.err}")
    stage.same(n1.run(f"echo on >{PLACE}/other; cat {PLACE}/other", timeout=60).out, "on\n", "the other node")
    stage.umount(n2)
    stage.mount(n2)
    stage.same(n2.run(f"cat {PLACE}/other", timeout=60).out, "on\n", "after umount and mount")
    stage.same(len(stage.keys(n1)), 2, "registered keys after umount and mount")
