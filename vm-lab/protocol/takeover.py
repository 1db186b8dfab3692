# SPDX-License-Identifier: Apache-2.0
"""An owner loses its power, or stands still and wakes up: the other node takes the volume over by itself, and nothing that was durable is lost."""

import json
import re
import time

from lablib.protocol import DEVICE, PLACE
from lablib.takeover import BEAT_MS, MOUNT, OPTIONS, SILENT_MS, both_beat, switch_off, switch_on

LIMIT = 720
MARKERS = ["SELFTEST: settings of a mount ok", "SELFTEST: power cut ok", "SELFTEST: last to leave ok", "SELFTEST: owner that wakes up ok",
           "SELFTEST: word of a person ok"]
# The array refuses what the owner that wakes up still sends, and XFS there is shut down.
EXPECTED = [r"reservation conflict", r"XFS \(sda\)", r"log I/O error", r"Buffer I/O error", r"I/O error, dev sda"]


def run(stage):
    n1, n2 = stage.n1, stage.n2
    for node in (n1, n2):
        switch_on(node)
    try:
        stage.mkfs()
        for node in (n1, n2):
            stage.mount(node, MOUNT)
            _told(stage, node)
        _restarted(stage, n2)
        _told(stage, n2)
        stage.marker("SELFTEST: settings of a mount ok")
        _power_cut(stage, n1, n2)
        stage.marker("SELFTEST: power cut ok")
        _leaves_last(stage, n1, n2)
        stage.marker("SELFTEST: last to leave ok")
        _wakes_up(stage, n1, n2)
        stage.marker("SELFTEST: owner that wakes up ok")
        _cleared(stage, n1, n2)
        stage.marker("SELFTEST: word of a person ok")
        stage.repair(n2)
    finally:
        switch_off([n1, n2])


def _told(stage, node):
    """That a reset is sent by a person's word alone is told."""
    status = json.loads(node.run("mxfsctl status --json", check=False).out)["volumes"][0]["daemon"]["fencing"]
    stage.same((status["by"], status["setting"], status["found"]), ("reset", "reset", "wait"), f"{node.name}: how nodes are fenced, by mxfsctl status")
    why = r"as -Dmxfs.takeover=reset says; found: nothing, as the disk was not asked"
    stage.matches(rf"(?m)^ fencing: by a LOGICAL UNIT RESET: {why}", node.run("mxfsctl status", check=False).out, f"{node.name}: mxfsctl status")
    stage.matches(rf"WARN.*fencing: what a node that is shut out had under way is ended by a LOGICAL UNIT RESET: {why}", node.run("cat /var/log/mxfs/*.log").out,
                  f"{node.name}: the log")


def _restarted(stage, node):
    """A daemon that is started for a mount that is at work has its predecessor's settings, however wrong what is set now. That it has them the power cut shows: this node takes over."""
    _switches(stage, node, rf"^[0-9]+ {BEAT_MS} reset\n$", "while it is mounted")
    before = stage.daemon_pid(node)
    node.run(f"sed -i s/-Dmxfs.beats={BEAT_MS}/-Dmxfs.beats=often/ {OPTIONS} && kill -9 {before}")
    stage.until(lambda: stage.daemon_pid(node) not in (None, before), 30, "another daemon")
    node.run(f"ls {PLACE}", timeout=60)
    stage.until(lambda: "-Dmxfs.beats=often: not a number" in node.run("cat /var/log/mxfs/*.log").out, 10, "the wrong setting in the log")
    stage.matches(f"until umount it stays at beats={BEAT_MS} takeover=reset", node.run("cat /var/log/mxfs/*.log").out, "the log of the restarted daemon")
    node.run(f"sed -i s/-Dmxfs.beats=often/-Dmxfs.beats={BEAT_MS}/ {OPTIONS}")


def _switches(stage, node, pattern, when):
    """What a daemon would go by that is started now for this node's mount."""
    stage.matches(pattern, node.run("cat /run/mxfs/*.switches", check=False).out, f"{node.name}: /run/mxfs/*.switches {when}")


def _stops(stage, survivor, owner, name, stop):
    """The owner stops; it is shut out when its record has stood still for long enough, not before, and the survivor works again."""
    dead = stage.holder(survivor)
    began = time.monotonic()
    stop()
    create = stage.start(survivor, f"sh -c 'echo after >{PLACE}/{name} && cat {PLACE}/{name}'")
    survivor.run(f"until keys=$(sg_persist -n -i -k {DEVICE}) && ! echo \"$keys\" | grep -q 0x{dead}; do sleep 0.3; done", timeout=120 * stage.slowness)
    out = time.monotonic() - began
    stage.same(create.finish(180).out, "after\n", "the survivor")
    stage.note(f"{owner.name} stops: shut out after {out:.1f} s, the first successful create after {time.monotonic() - began:.1f} s")
    # By the host's clock and the array's word: its last record may be as old as a beat when it stops.
    least = (SILENT_MS - BEAT_MS) / 1000
    stage.check(out > least, f"shut out after {out:.1f} s, when the lease of the owner might not have been over")
    # By the survivor's, without what it takes to see and to do it.
    log = survivor.run("cat /var/log/mxfs/*.log").out
    silences = [int(number) for number in re.findall(rf"\(key 0x0*{dead}\), which owns the volume, has not written its heartbeat for (\d+) ms: it is shut out", log)]
    stage.check(silences and min(silences) >= SILENT_MS, f"shut out after a silence of {silences} ms, not {SILENT_MS}")
    stage.matches(rf"taken over from \S*{dead[-8:]}", log, "the log of the survivor")
    return dead


def _fill(node, name):
    """What was acknowledged as durable, and a file that is open."""
    return node.run(f"mkdir {PLACE}/{name} && for i in $(seq 50); do echo $i >{PLACE}/{name}/$i; done && "
                    f"dd if=/dev/urandom of={PLACE}/{name}/big bs=1M count=8 conv=fsync status=none && sync && cd {PLACE}/{name} && md5sum * | md5sum").out


def _power_cut(stage, n1, n2):
    n2.run(f"ls {PLACE}")
    sums = _fill(n1, "cut")
    stage.same(stage.owner(), n1, "the owner")
    both_beat(stage)
    dead = _stops(stage, n2, n1, "after-cut", n1.kill)
    stage.same(n2.run(f"cd {PLACE}/cut && md5sum * | md5sum").out, sums, "what was durable")
    stage.check(dead not in stage.keys(n2), "the dead owner's key is registered")


def _leaves_last(stage, n1, n2):
    """While the dead owner has not come back the disk stays reserved, and whoever mounts next takes it over at once."""
    sums = n2.run(f"cd {PLACE}/cut && md5sum * | md5sum").out
    for turn in range(2):
        key = stage.holder(n2)
        stage.umount(n2)
        stage.same((stage.holder(n2), stage.keys(n2)), (key, [key]), f"umount {turn + 1} of the last node: the reservation and who is registered")
        _switches(stage, n2, " reset\n$", "where its key stays registered")
        log = n2.run("cat /var/log/mxfs/*.log").out
        stage.matches(rf"stays registered with key 0x{key.zfill(16)}.*mxfsctl fence clear.*any node can mount", log, "the log of the last node")
        if turn == 0:
            stage.mount(n2, MOUNT)  # by itself: its own earlier life holds the reservation
            stage.check(stage.keys(n2) != [key], "the key of before is still registered")
    n1.start()
    stage.prepare([n1])
    switch_on(n1)
    # Nobody has the volume mounted, and the key of another node holds the reservation.
    took = stage.mount(n1, MOUNT, timeout=120)
    stage.note(f"mount beside the key of a node that has left: {took:.0f} ms")
    stage.check(key not in stage.keys(n1), "the key of the node that has left is still registered")
    stage.same(n1.run(f"cat {PLACE}/after-cut && cd {PLACE}/cut && md5sum * | md5sum", timeout=60).out, "after\n" + sums, "the node that came back")
    stage.umount(n1)
    stage.same(stage.keys(n1), [], "who is registered when the fenced node has come back and all have left")
    _switches(stage, n1, "^$", "when it has left")
    for node in (n1, n2):
        stage.mount(node, MOUNT)
    n1.run(f"touch {PLACE}/turn")


def _wakes_up(stage, n1, n2):
    """Nothing that it still sends arrives, and it answers nothing: no write, no read, no name."""
    sums = _fill(n1, "paused")
    stage.same(stage.owner(), n1, "the owner")
    both_beat(stage)
    writer = stage.start(n1, f"sh -c 'i=0; while echo $i >{PLACE}/paused/running; do i=$((i + 1)); done; echo ended'")
    stage.until(lambda: n1.run(f"test -s {PLACE}/paused/running", check=False).rc == 0, 20, "the program to write")
    try:
        _stops(stage, n2, n1, "after-pause", n1.pause)
        n2.run(f"echo survivor >{PLACE}/paused/running; sync")
    finally:
        n1.resume()
    stage.check("ended" in writer.finish(60 * stage.slowness).out.split(), "the program on the owner that woke up goes on writing")
    for command in (f"cat {PLACE}/paused/1", f"echo x >{PLACE}/late", f"stat {PLACE}/paused/2"):
        done = n1.run(command, check=False, timeout=60)
        stage.check(done.rc != 0 and "Input/output error" in done.err, f"'{command}' on the owner that woke up: status {done.rc}, {done.err}")
    stage.same(n2.run(f"cat {PLACE}/paused/running; ls {PLACE}/late 2>&1 | grep -c 'No such file'").out, "survivor\n1\n", "what the owner that woke up sent")
    stage.umount(n1)
    stage.mount(n1, MOUNT, timeout=120)
    n2.run(f"rm {PLACE}/paused/running")
    stage.same(n1.run(f"cat {PLACE}/after-pause && cd {PLACE}/paused && md5sum * | md5sum", timeout=60).out, "after\n" + sums, "what was durable")


def _cleared(stage, n1, n2):
    """mxfsctl fence: who never comes back is listed, and forgotten by the word of a person, given to the owner; then the disk may be left."""
    stage.take(n1)
    both_beat(stage)
    _ctl(stage, n2, "list", 0, "nobody")
    dead = _stops(stage, n2, n1, "after-third", n1.kill).zfill(16)
    stage.until(lambda: n2.run("mxfsctl fence list", check=False).rc == 1, 20, "the dead owner in the list")
    _ctl(stage, n2, "list", 1, rf"{n1.name} \(node {dead[:8]}\), key 0x{dead}: fenced, epoch [0-9]+ on disk, known here for ")
    _ctl(stage, n2, "list --json", 1, rf'"takeover":true,"missing":\[\{{"key":"0x{dead}","id":"{dead[:8]}","host":"{n1.name}","state":"fenced"')
    _ctl(stage, n2, f"clear {n1.name}", 1, "not confirmed; nothing was changed")
    _ctl(stage, n2, f"clear --yes {n2.name}", 1, "is none of those that were shut out")
    _ctl(stage, n2, "clear", 2, "Usage")
    _ctl(stage, n2, "list", 1, dead)
    _ctl(stage, n2, f"clear {n1.name} {PLACE}", 0, rf"cleared: {n1.name} \(node {dead[:8]}\), key 0x{dead}", typed=dead[:8])
    _ctl(stage, n2, "list", 0, "nobody")
    stage.umount(n2)
    stage.same(stage.keys(n2), [], "who is registered when the one that was shut out is cleared, and all have left")
    n1.start()
    stage.prepare([n1])


def _ctl(stage, node, arguments, status, pattern, typed=""):
    done = node.run(f"echo {typed} | mxfsctl fence {arguments}", check=False, timeout=90)
    stage.check(done.rc == status, f"{node.name}: status {done.rc} of 'mxfsctl fence {arguments}', expected {status}: {done.out}{done.err}")
    stage.matches(pattern, done.out + done.err, f"{node.name}: 'mxfsctl fence {arguments}'")
