# SPDX-License-Identifier: Apache-2.0
"""mxfsctl status and nodes: nothing mounted, owner, member, who waits for whom, a daemon that is stopped or killed, a peer
behind a firewall, a mount that was shut down, wrong arguments, who is not root; each with its words, its JSON and its exit status, and never a stack trace."""

import json

from lablib.protocol import DEVICE, PLACE

LIMIT = 480
MARKERS = ["SELFTEST: status ok"]
EXPECTED = [r"reservation conflict"]


def run(stage):
    n1, n2 = stage.n1, stage.n2
    ask(stage, n1, "status", 0, "^no mxfs volume is mounted here$")
    ask(stage, n1, "nodes", 0, "^no mxfs volume is mounted here$")
    ask(stage, n1, f"status {PLACE}", 3, f"no mxfs volume {PLACE} is mounted here; there is none")
    ask(stage, n1, "status --wrong", 2, "(?s)Unknown option.*Usage")
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2, options="ready_ms=240000")  # its second daemon is kept at its door for a while
    owner_and_member(stage, n1, n2)
    waiting(stage, n1, n2)
    firewall(stage, n1, n2)
    many(stage, n2)
    killed(stage, n1, n2)
    shut_down(stage, n1, n2)
    stage.umount(n1)
    stage.same(n1.run("ls /run/mxfs").out.count(".control"), 0, "sockets after umount")
    ask(stage, n1, "status", 0, "^no mxfs volume is mounted here$")
    stage.marker(MARKERS[0])


def ask(stage, node, arguments, status, pattern, limit=60):
    done = node.run(f"mxfsctl {arguments}", check=False, timeout=limit)
    stage.check(done.rc == status or status is None and done.rc in (0, 1), f"{node.name}: status {done.rc} of 'mxfsctl {arguments}', expected {status}: {done.out}{done.err}")
    stage.matches(pattern, done.out + done.err, f"{node.name}: 'mxfsctl {arguments}'")
    stage.check("\tat " not in done.out + done.err and "Exception" not in done.out + done.err, f"a trace: {done.out}{done.err}")
    return done.out


def read(stage, node):
    """The JSON of the one volume."""
    volumes = json.loads(node.run("mxfsctl status --json || [ $? = 1 ]", timeout=60).out)
    stage.same((volumes["schema"], len(volumes["volumes"])), (1, 1), "schema and volumes")
    return volumes["volumes"][0]


def owner_and_member(stage, n1, n2):
    n1.run(f"echo one >{PLACE}/f")
    uuid = stage.status(n1)["uuid"]
    stage.until(lambda: all(node.run(f"test -S /run/mxfs/{uuid}.control", check=False).rc == 0 for node in (n1, n2)), 20, "the control sockets")
    stage.same(n1.run(f"stat -c '%a %U %F' /run/mxfs/{uuid}.control").out, "600 root socket\n", "the control socket")
    said = ask(stage, n1, "status", 0, r"(?s)state: owner for .*health: ok\n$")
    print(said, flush=True)
    stage.matches(rf"volume: {uuid}\n +mount: {DEVICE} on {PLACE}\n", said, "volume and mount")
    stage.matches(r"holder: this node, key 0x" + stage.holder(n1).zfill(16), said, "the holder")
    said = ask(stage, n2, "status", 0, r"(?s)state: member for .* owns the volume\n.*health: ok\n$")
    stage.matches(r"holder: \S+ \(node [0-9a-f]{8}\), key 0x" + stage.holder(n1).zfill(16), said, "the holder")
    for name in (uuid, PLACE, DEVICE):
        ask(stage, n1, f"status {name}", 0, f"volume: {uuid}")
    ask(stage, n1, "status nonsense", 3, f"no mxfs volume nonsense is mounted here; there is {uuid} on {PLACE}")
    for node, mine in ((n1, "this node, owner"), (n2, "this node")):
        said = ask(stage, node, "nodes", 0, f"NODE +HOST +STATE.*\n.* {mine}")
        print(said, flush=True)
        stage.same(len(said.splitlines()), 4, f"lines of the table: {said}")
    volume, kernel = read(stage, n1), stage.status(n1)
    stage.same((volume["uuid"], volume["mounts"], volume["healthy"], volume["answer"]), (uuid, [PLACE], True, "said"), "the JSON")
    told = volume["daemon"]
    stage.same((told["status"]["state"], told["status"]["xfs"], told["status"]["epoch"], told["daemon"]["pid"], told["node"]["key"]),
               ("owner", "attached", int(kernel["epoch"]), stage.daemon_pid(n1), "0x" + kernel["key"]), "what the daemon says")
    peer, = told["status"]["peers"]
    stage.same((peer["connected"], peer["mounted"], peer["key"]), (True, True, read(stage, n2)["daemon"]["node"]["key"]), "the peer")
    stage.check(0 <= peer["heard_ms"] < 5_000, f"the peer was heard {peer['heard_ms']} ms ago")
    stage.same({one["owner"] for one in json.loads(n2.run("mxfsctl nodes --json").out)["volumes"][0]["nodes"] if not one["self"]}, {True}, "the owner")
    # Nobody but root.
    for command in ("status", "nodes"):
        done = n1.run(f"su user1 -s /bin/sh -c '/usr/sbin/mxfsctl {command}'", check=False, timeout=60)
        stage.check(done.rc == 4 and "\tat " not in done.out + done.err, f"{command} of an ordinary user: status {done.rc}: {done.out}{done.err}")


def waiting(stage, n1, n2):
    """The other node's daemon stands still: whoever asks it for the volume waits, and says for whom."""
    n1.run(f"echo two >{PLACE}/f")
    pid = stage.daemon_pid(n1)
    n1.run(f"kill -STOP {pid}")
    reader = stage.start(n2, f"cat {PLACE}/f")
    try:
        volume = stage.until(lambda: (v := read(stage, n2))["daemon"]["status"]["waiting"] and v, 20, "node2 to wait")
        wait = volume["daemon"]["status"]["waiting"]
        # A connection that nobody serves is cut after some seconds.
        stage.check(wait["why"] in ("owner_has_it", "owner_not_connected"), f"why node2 waits: {wait}")
        stage.same(wait["for"]["key"], "0x" + stage.status(n1)["key"], "whom node2 waits for")
        ask(stage, n2, "status", None, r"waiting: 1 operation of this node, for [0-9.]+ s: .* \(node [0-9a-f]{8}\) has the volume")
        # The one that stands still says nothing, within a bounded time; the kernel's own word is there.
        said = ask(stage, n1, "status", 1, "does not answer: it is stopped", limit=40)
        stage.matches("this node is the owner", said, "what the kernel says")
    finally:
        n1.run(f"kill -CONT {pid}")
    stage.same(reader.finish(60).out, "two\n", "what waited")
    stage.until(lambda: read(stage, n2)["daemon"]["status"]["state"] == "owner", 20, "node2 to own")


def firewall(stage, n1, n2):
    """What is heard and cannot be connected is a fault, and said with the address; so is the owner that is not connected."""
    block = "add table inet lab; add chain inet lab in { type filter hook input priority 0; }; add rule inet lab in tcp dport 7600 drop; " \
            "add rule inet lab in tcp sport 7600 drop"
    n2.run(f"echo three >{PLACE}/f")
    for node in (n1, n2):
        node.run(f"nft -f - <<'E'\n{block}\nE")
    reader = stage.start(n1, f"cat {PLACE}/f")
    try:
        said = stage.until(lambda: (text := n1.run("mxfsctl status", check=False, timeout=60).out) and "announces itself" in text
                           and "the owner, " in text and text, 60, "node1 to say that the owner is not connected")
        stage.matches(r"announces itself from [0-9.]+:7600 and is not connected", said, "the peer behind a firewall")
        ask(stage, n1, "nodes", 1, "not connected, owner")
        print(said, flush=True)
    finally:
        for node in (n1, n2):
            node.run("nft delete table inet lab")
    stage.same(reader.finish(60).out, "three\n", "what waited")
    stage.until(lambda: n1.run("mxfsctl status", check=False, timeout=60).rc == 0, 60, "node1 to be healthy again")


def many(stage, node):
    """Several who ask at once are all answered."""
    said = node.run("for i in 1 2 3 4; do mxfsctl status >/run/status.$i & done; wait; cat /run/status.*; rm /run/status.*", timeout=120).out
    stage.same(said.count("health: ok"), 4, f"answers to four at once: {said}")


def killed(stage, n1, n2):
    """A daemon that was killed: said, until the next one answers; its socket stands in the place of the old one."""
    old = stage.daemon_pid(n2)
    # The next one is kept at its door until this was looked at.
    n2.run("mkfifo /run/gate; mv /usr/sbin/mxfsd /usr/sbin/mxfsd.kept; printf '#!/bin/sh\\nread -r go </run/gate\\nexec /usr/sbin/mxfsd.kept \"$@\"\\n' "
           ">/usr/sbin/mxfsd; chmod 755 /usr/sbin/mxfsd")
    try:
        n2.run(f"kill -9 {old}")
        said = stage.until(lambda: (text := n2.run("mxfsctl status", check=False, timeout=60).out) and "FROZEN" in text and text, 30,
                           "node2 to say that its daemon is dead")
        print(said, flush=True)
        stage.matches(r"(?s)state: FROZEN: no daemon answers.*health: ATTENTION\n +\* The daemon of this volume does not run: the mount is frozen", said,
                      "a daemon that was killed")
        ask(stage, n2, "nodes", 1, "no daemon answers")
        stage.same(read(stage, n2)["answer"], "nobody", "the answer of a dead daemon")
        n2.run("timeout 30 sh -c 'echo go >/run/gate'", timeout=40)
        said = stage.until(lambda: (done := n2.run("mxfsctl status", check=False, timeout=60)).rc == 0 and done.out, 60, "node2 to be healthy again")
    finally:
        n2.run("mv -f /usr/sbin/mxfsd.kept /usr/sbin/mxfsd; rm -f /run/gate")
    stage.matches(rf"daemon: pid (?!{old}\b)\d+ for .*, restarted\n", said, "the new daemon")
    ask(stage, n1, "status", 0, "health: ok")


def shut_down(stage, n1, n2):
    """A mount that is shut out is dead, and says what is left."""
    n1.run(f"echo four >{PLACE}/f")
    key = stage.status(n2)["key"]
    stage.persist(n1, f"-o --preempt --param-rk=0x{stage.status(n1)['key']} --param-sark=0x{key} --prout-type=5")
    stage.until(lambda: stage.status(n2).get("state") == "dead", 30, "node2 to be shut out")
    said = ask(stage, n2, "status", 1, r"(?s)state: DEAD: shut down, only umount is left.*\* This mount was shut down.*umount it and mount it again")
    print(said, flush=True)
    stage.umount(n2)
    ask(stage, n2, "status", 0, "^no mxfs volume is mounted here$")
