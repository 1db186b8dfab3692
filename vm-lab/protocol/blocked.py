# SPDX-License-Identifier: Apache-2.0
"""The network between the nodes is cut, wholly or for multicast only: the second node's mount fails in bounded time with a message to act
on, and the first is not touched; when the network is back, the mount succeeds. A cut while both have it mounted freezes the
member, and nothing is lost."""

import time

from lablib.protocol import PLACE

LIMIT = 180
MARKERS = ["SELFTEST: blocked network ok"]
EXPECTED = []
MULTICAST = "add table inet lab; add chain inet lab in { type filter hook input priority 0; }; " \
            "add rule inet lab in udp dport 7601 drop"


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    n1.run(f"echo before >{PLACE}/f")
    keys, epoch = stage.keys(n1), stage.status(n1)["epoch"]

    def untouched(what):
        stage.same(n1.run(f"cat {PLACE}/f; echo again >{PLACE}/g; cat {PLACE}/g").out, "before\nagain\n", f"{what}: the first node")
        stage.same((stage.keys(n1), stage.status(n1)["epoch"], stage.status(n1)["state"]), (keys, epoch, "attached"),
                   f"{what}: keys, epoch and state of the first node")
        stage.same(stage.leftovers(n2), [], f"{what}: the second node")

    def fails(what):
        began = time.monotonic()
        mark = stage.mark(n2)
        tried = stage.try_mount(n2, timeout=60)
        took = time.monotonic() - began
        stage.check(not tried.mounted, f"{what}: the second node mounted")
        stage.matches("cannot be reached|is not heard|unreachable", tried.said, f"{what}: the message ({tried.errno})")
        stage.matches("not mounted", stage.kernel_log(n2, mark), f"{what}: the kernel log")
        stage.check(took < 40 * stage.slowness, f"{what}: the mount took {took:.0f} s to fail")
        stage.note(f"{what}: {tried.errno} after {took:.1f} s")
        untouched(what)

    n2.link(False)
    try:
        fails("network cut")
    finally:
        n2.link(True)
    for node in (n1, n2):
        node.run(f"nft -f - <<'E'\n{MULTICAST}\nE")
    try:
        fails("multicast blocked")
    finally:
        for node in (n1, n2):
            node.run("nft delete table inet lab")

    stage.mount(n2)
    stage.same(n2.run(f"cat {PLACE}/f").out, "before\n", "the second node, with the network back")
    # Cut while both have it: the one without the volume waits, the other goes on; afterwards both see everything.
    n1.run(f"echo mine >{PLACE}/f")
    n2.link(False)
    try:
        reader = stage.start(n2, f"cat {PLACE}/f")
        for i in range(5):
            n1.run(f"echo {i} >>{PLACE}/f")
        stage.same(stage.status(n1)["state"], "attached", "the owner beside a member that is cut off")
        stage.check(reader.process.poll() is None, "a member that is cut off answered from what it had")
    finally:
        n2.link(True)
    done = reader.finish(60)
    stage.same(done.out, "mine\n0\n1\n2\n3\n4\n", "what the member reads when the network is back")
    stage.umount(n2)
    stage.umount(n1)
    stage.repair()
    stage.marker("SELFTEST: blocked network ok")
