# SPDX-License-Identifier: Apache-2.0
"""A node whose key is preempted stops by itself, reads included, with one clear message; it can be unmounted and mounted again; what was
durable is there, and so is a file without a name that only another node has open by then."""

import time

from lablib.protocol import PLACE

LIMIT = 180
MARKERS = ["SELFTEST: fenced node stops ok"]
# The array refuses the fenced node's writes, and XFS there is shut down: that is what is tested.
EXPECTED = [r"reservation conflict", r"XFS \(sda\)", r"log I/O error", r"Buffer I/O error", r"I/O error, dev sda"]


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    n2.run(f"echo two >{PLACE}/two")
    n1.run(f"echo one >{PLACE}/one; sync")
    stage.same(stage.owner(), n1, "the owner")
    # Made without a name here, named for a moment, and open on both nodes since then.
    nameless, reader = stage.keeper(n1), stage.keeper(n2)
    for one in (nameless, reader):
        one.ok(f"chdir {PLACE}")
    nameless.ok("tmpfile 1 .")
    nameless.ok("write 1 0 20000 61")
    nameless.ok("link 1 briefly")
    reader.ok("open 1 briefly r")
    reader.ok("unlink briefly")
    # Names that the node knows, one of them not to be there.
    n1.run(f"mkdir {PLACE}/folder && echo three >{PLACE}/folder/three && ! ls {PLACE}/folder/three {PLACE}/folder/none {PLACE}/two 2>/dev/null")
    stage.same(stage.owner(), n1, "the owner")
    keys = stage.keys(n1)
    mine = stage.holder(n1)
    (theirs,) = [key for key in keys if key != mine]
    keeper = stage.keeper(n1)
    keeper.ok(f"open 1 {PLACE}/one +")
    keeper.ok("map 1 4096")
    mark = stage.mark(n1)

    began = time.monotonic()
    stage.persist(n2, f"-o --preempt --param-rk=0x{theirs} --param-sark=0x{mine} --prout-type=5")
    stage.until(lambda: stage.status(n1)["state"] == "dead", 30, "the fenced node to stop")
    stage.note(f"stopped {time.monotonic() - began:.1f} s after it was fenced")
    # Reads are refused too: they would be stale.
    keeper.fails("check 1 0 3 1", "errno EIO")
    keeper.fails("write 1 0 3 1", "errno EIO")
    keeper.fails("touch 1 0", "SIGBUS")
    keeper.close()
    nameless.close()
    for command in (f"cat {PLACE}/one", f"ls {PLACE}/two", f"echo x >{PLACE}/new", f"stat {PLACE}/two", f"stat {PLACE}/folder/none",
                    f"cat {PLACE}/folder/three", f"cd {PLACE}/folder"):
        done = n1.run(command, check=False, timeout=30)
        stage.check(done.rc != 0 and "Input/output error" in done.err, f"'{command}' on a fenced node: status {done.rc}, {done.err}")
    lines = [line for line in stage.kernel_log(n1, mark).splitlines() if "mxfs (" in line and "shutting down" in line]
    stage.same(len(lines), 1, f"messages about it: {lines}")
    stage.matches("not registered|preempted|fenced|shut out", lines[0], "the message")
    stage.matches("unmount it and mount it again", lines[0], "what the message says to do")
    stage.umount(n1)
    stage.same(stage.leftovers(n1), [], "on the fenced node after umount")

    # The survivor holds the reservation now; it works on, and the fenced node comes back with a new key.
    stage.same(stage.holder(n2), theirs, "the holder of the reservation")
    stage.same(n2.run(f"cat {PLACE}/one {PLACE}/two; echo after >{PLACE}/after; cat {PLACE}/after", timeout=60).out, "one\ntwo\nafter\n",
               "the survivor")
    reader.ok("check 1 0 20000 61")
    stage.mount(n1)
    stage.check(mine not in stage.keys(n1), "the fenced incarnation's key came back")
    stage.same(n1.run(f"cat {PLACE}/one {PLACE}/two {PLACE}/after", timeout=60).out, "one\ntwo\nafter\n", "the node that came back")
    # It has removed what its last incarnation left; the other node still has the file.
    link = "cat /sys/kernel/debug/mxfs/*/orphans"
    stage.until(lambda: [name[:5] for name in n1.run(link).out.split()] == ["open-"], 20, "the link of the fenced incarnation to be handed on")
    for _ in range(2):
        reader.ok("check 1 0 20000 61")
        n1.run(f"touch {PLACE}/one")
    reader.ok("close 1")
    reader.close()
    stage.until(lambda: not n2.run(link).out, 20, "a file without a name that nobody has open to be gone")
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()
    stage.marker("SELFTEST: fenced node stops ok")
