# SPDX-License-Identifier: Apache-2.0
"""Coming, going, waiting, with the daemon as it is: umount while the other node takes the volume again and again; a daemon that is stopped; a
mount that gives up."""

from lablib.errors import TimedOut
from lablib.protocol import PLACE, PROGRAMS

LIMIT = 240
MARKERS = ["SELFTEST: umount under turns ok", "SELFTEST: daemon stopped ok", "SELFTEST: mounts that give up ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    _umount_under_turns(stage, n1, n2)
    stage.marker(MARKERS[0])
    _stopped(stage, n1)
    stage.marker(MARKERS[1])
    _given_up(stage, n1)
    stage.marker(MARKERS[2])


def _umount_under_turns(stage, n1, n2):
    """Dirty pages of closed files are written by the detach, which the other node asks for, while this node's umount is on its way.

    The quantum lets this node work until it is idle: that is in the middle of its umount.
    """
    # Where a file takes as long as a node may be idle, the volume goes over at nearly every one: more of them take time and prove no more.
    count = round(300 / stage.lab.image.kernel_slowness)
    stage.mount(n2)
    n2.run(f"mkdir {PLACE}/m; rm -f /run/enough")
    reader = stage.start(n2, f"while test ! -e /run/enough; do ls {PLACE}/m; sleep 0.02; done >/dev/null 2>&1")
    stage.mount(n1, "quantum_ms=10000")
    took = n1.run(f"{PROGRAMS}/map_many {PLACE}/m {count} 8192 && s=$(date +%s%N) && umount {PLACE} && "
                  "e=$(date +%s%N) && echo $(((e - s) / 1000000))", timeout=60).out
    stage.note(f"umount: {took.strip()} ms")
    stage.same(stage.leftovers(n1), [], "after umount under turns")
    n2.run("touch /run/enough")
    reader.finish(30)
    n2.run("rm /run/enough")  # posix, on the same nodes, looks for it as well
    stage.same(n2.run(f"cat {PLACE}/m/* | tr -d m | tr -d '\\0' | wc -c; cat {PLACE}/m/* | tr -d '\\0' | wc -c").out.split(), ["0", str(2 * count)],
               "what was stored through maps")
    stage.umount(n2)


def _wait(stage, node, *commands):
    """Each waits as long as nothing may start, and can be killed. All at once: a trip to a node is dear."""
    tries = "".join(f"(timeout -s KILL {2 * stage.slowness:g} {command} >/dev/null 2>&1; echo $? {command}) & " for command in commands)
    out = node.run(f"{tries} wait", timeout=40).out.splitlines()
    stage.same(len(out), len(commands), "commands that ended")
    for line in out:
        stage.check(line.split()[0] in ("124", "137"), f"was answered, though nothing may start: status {line}")


def _unanswered(keeper, command):
    try:
        keeper.ok(command, limit=3)
    except TimedOut:
        return True
    return False


def _writers(stage, node):
    """Two programs that have one file open for writing, each with its number."""
    writers = []
    for _ in range(2):
        writer = stage.keeper(node)
        writer.ok(f"open 1 {PLACE}/d/both +c")
        writers.append((writer, node.run("pgrep -n -x keeper").out.strip()))
    return writers


def _killed(stage, node, writers):
    """Who waits for a lock, and who has that waits for the daemon, can be killed all the same."""
    for (writer, pid), where in zip(writers, ("mxfs_wait_until", "mxfs_write_iter")):  # the function that waits; of locks there is no line
        writer.tell("write 1 0 100 9")
        stage.until(lambda: f" {where}+" in node.run(f"head -n 1 /proc/{pid}/stack").out, 10, f"a write to wait in {where}")
    node.run(f"kill -KILL {pid}")
    stage.until(lambda: node.run(f"test -e /proc/{pid}", check=False).rc, 10, "a killed write to end")


def _stopped(stage, node):
    """SIGSTOP and the lease over: what would start waits, killable, names and permissions too; sync and umount end by themselves."""
    stage.mount(node, "lease_ms=3000")
    node.run(f"mkdir {PLACE}/d && echo text >{PLACE}/d/f && chmod 755 {PLACE}/d && ls -l {PLACE}/d && ! test -r {PLACE}/d/none")
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/d/kept +c")
    keeper.ok("write 1 0 100000 7")
    keeper.ok("map 1 100000")
    keeper.ok("store 1 0 5000 8")
    reader = stage.keeper(node)
    reader.ok(f"open 1 {PLACE}/d/kept r")
    reader.ok("map 1 100000")
    reader.ok("load 1 0 5000 8")
    holder = stage.start(node, f"{PROGRAMS}/robust {PLACE}/d/mutex")
    stage.same(holder.line(30), "held", "a mutex in a map")
    writers = _writers(stage, node)
    pid = stage.daemon_pid(node)
    node.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    _wait(stage, node, f"test -r {PLACE}/d/f", f"test -r {PLACE}/d/none", f"test -r {PLACE}/d", f"stat {PLACE}/d/f", f"cat {PLACE}/d/f")
    # Pages that were mapped are no answer either. They are unmapped by work, which may come a moment after the end of the lease.
    waiting = int(stage.status(node)["waiters"])
    stage.until(lambda: _unanswered(reader, "load 1 0 5000 8"), 20, "a load from a map past the lease to wait")
    stage.same(int(stage.status(node)["waiters"]), waiting + 1, "who waits: the load, too")
    # A process that exits cannot be killed: it waits for a mutex in a map that it held, but not as long as it takes.
    holder.process.stdin.close()
    _killed(stage, node, writers)
    # What was stored goes below, and is written from there; nothing new starts by that.
    stage.ends(node, "sync", 20, "sync of everything while the daemon is stopped")
    keeper.tell("fsync 1")
    stage.ends(node, f"stat -f {PLACE}", 20, "statfs while the daemon is stopped")
    node.run("kill -KILL $(pidof keeper)")
    stage.until(lambda: not node.run("pidof keeper", check=False).out.strip(), 10, "a killed fsync to end")
    stage.until(lambda: not node.run("pidof robust", check=False).out.strip(), 20, "a process that exits, and held a mutex in a map, to be gone")
    # Once the daemon goes on, all is as it was.
    node.run(f"kill -CONT {pid}")
    stage.same(node.run(f"cat {PLACE}/d/f; test -r {PLACE}/d/none || echo none", timeout=40).out, "text\nnone\n", "after SIGCONT")
    node.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    stage.ends(node, f"umount {PLACE}", 30, "umount while the daemon is stopped")
    stage.same(stage.leftovers(node), [], "after umount with a stopped daemon")
    stage.clear_keys()
    # As on a crash, nothing that was accepted is lost where the array still let this node write.
    stage.mount(node)
    other = stage.keeper(node)
    other.ok(f"open 1 {PLACE}/d/kept r")
    other.ok("check 1 0 5000 8")
    other.ok("check 1 5000 95000 7")
    other.close()
    stage.umount(node)


def _given_up(stage, node):
    """A mount that gives up wherever its daemon is by then leaves no key and no daemon."""
    for ready in (500, 1500, 3000):
        tried = stage.try_mount(node, f"ready_ms={ready}")
        stage.check(tried.errno in ("0", "ETIMEDOUT"), f"mount with ready_ms={ready}: {tried.said}")
        stage.note(f"ready_ms={ready}: {tried.errno}")
        if tried.mounted:
            stage.umount(node)
        stage.same(stage.leftovers(node), [], f"after a mount with ready_ms={ready}")
        stage.same(stage.keys(node), [], f"keys after a mount with ready_ms={ready}")
