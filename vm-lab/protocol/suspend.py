# SPDX-License-Identifier: Apache-2.0
"""The machine goes to sleep (as far as its tasks are frozen, by /sys/power/pm_test) while programs work in one directory of the owner, while one
waits for the volume that another node has, and while nothing may start because the daemon stands still: sleep is not refused, all goes on after it."""

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 240
MARKERS = ["SELFTEST: sleep beside work ok", "SELFTEST: sleep while waiting ok", "SELFTEST: sleep past the lease ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    n1.run("echo 1 >/sys/module/suspend/parameters/pm_test_delay; echo freezer >/sys/power/pm_test")
    try:
        _working(stage, n1)
        stage.marker(MARKERS[0])
        stage.mount(n2)
        _waiting(stage, n1, n2)
        stage.marker(MARKERS[1])
        stage.umount(n2)
        stage.umount(n1)
        _stopped(stage, n1)
        stage.marker(MARKERS[2])
    finally:
        n1.run("echo none >/sys/power/pm_test", check=False)
    stage.repair()


def _sleeps(stage, node, what):
    """A sleep that ends after the tasks are frozen; what was refused is told in the kernel log."""
    mark = stage.mark(node)
    done = node.run("echo freeze >/sys/power/state", check=False, timeout=60)
    log = stage.kernel_log(node, mark)
    stage.check(done.rc == 0, f"{what}: sleep was refused: {done.err}\n{log[-1500:]}")
    stage.matches("remaining freezable tasks completed", log, f"{what}: the kernel log")


def _working(stage, node):
    """Two programs that make and remove files in one directory, one that reads it, one that stores through a map and makes that durable."""
    node.run(f"mkdir {PLACE}/d {PLACE}/m; rm -f /run/enough")
    works = [f"n=$((n + 1)); echo $n >{PLACE}/d/{who}.$((n % 50)); rm -f {PLACE}/d/{who}.$(((n + 25) % 50)); echo $n >/run/worked.{who}" for who in (1, 2)]
    works += [f"ls -l {PLACE}/d", f"{PROGRAMS}/map_many {PLACE}/m 3 4096; sync -f {PLACE}"]
    running = [stage.start(node, f"n=0; while test ! -e /run/enough; do {work}; done >/dev/null 2>&1") for work in works]
    try:
        stage.until(lambda: len(node.run("cat /run/worked.*", check=False).out.split()) == 2, 20, "the programs to begin")
        for turn in range(4):
            before = node.run("cat /run/worked.*").out
            _sleeps(stage, node, f"programs at work, turn {turn}")
            stage.until(lambda: node.run("cat /run/worked.*").out != before, 20, "the programs to go on")
    finally:
        node.run("touch /run/enough", check=False)
    for program in running:
        program.finish(30)


def _waiting(stage, n1, n2):
    """The other node has the volume and cannot be reached: who waits here is frozen with the rest, and has the volume afterwards."""
    n2.run(f"echo theirs >{PLACE}/f; sync")
    stage.same(stage.owner(), n2, "the owner")
    keeper = stage.keeper(n1)
    n1.link(False)
    try:
        reader = stage.start(n1, f"cat {PLACE}/f; echo mine >{PLACE}/g")
        lister = stage.start(n1, f"ls {PLACE}/d | head -n 1 >/dev/null")
        stage.until(lambda: int(stage.status(n1)["waiters"]) >= 2, 20, "programs to wait")
        _sleeps(stage, n1, "programs that wait for the other node's volume")
        stage.check(reader.process.poll() is None, "a reader of another node's volume was answered")
    finally:
        n1.link(True)
    stage.same(reader.finish(60).out, "theirs\n", "what the reader got")
    lister.finish(60)
    stage.same(n2.run(f"cat {PLACE}/g", timeout=30).out, "mine\n", "what it wrote")
    keeper.close()


def _stopped(stage, node):
    """Past the lease: access, fsync, a fault, umount's own wait."""
    stage.mount(node, "lease_ms=3000")
    keeper = stage.keeper(node)
    keeper.ok(f"open 1 {PLACE}/kept +c")
    keeper.ok("write 1 0 100000 7")
    keeper.ok("map 1 100000")
    keeper.ok("store 1 0 5000 8")
    pid = stage.daemon_pid(node)
    node.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(node)["lease_ms"] == "0", 30, "the lease to be over")
    # A work unmaps pages at the lease's end; what is read before it has come is read from the page that is still mapped, and waits for nobody.
    resident = f"awk '/ .*kept$/ {{ found = 1 }} found && /^Rss:/ {{ print $2; exit }}' /proc/$(pgrep -x keeper)/smaps"
    stage.until(lambda: node.run(resident).out.strip() == "0", 20, "the map's pages to be unmapped")
    waiting = int(stage.status(node)["waiters"])
    keeper.tell("load 1 0 5000 8")
    reader = stage.start(node, f"cat {PLACE}/f")
    stage.until(lambda: int(stage.status(node)["waiters"]) >= waiting + 2, 20, "a fault and a read to wait")
    _sleeps(stage, node, "a fault and a read past the lease")
    node.run(f"kill -CONT {pid}")
    stage.same(reader.finish(40).out, "theirs\n", "what was read afterwards")
    stage.matches("^ok", keeper.line(40), "the load")
    keeper.close()
    stage.umount(node)
