# SPDX-License-Identifier: Apache-2.0
"""Both nodes write records and make them durable, each of which is acknowledged outside of them; then comes a fault (a machine or both lose
their power, stand still, are shut out or cut off, a daemon dies or stops, an umount), in an order that a seed says. Afterwards every record that
was acknowledged is compared on both nodes, and again once the volume was checked and mounted anew; who was not hit goes on without an error. With --takeover it does so while the other is off, and who was silent for too long
is shut out. (The disk itself keeps its power: that its cache is flushed is not looked at.)"""

import contextlib
import json
import random
import threading
import time
from dataclasses import dataclass, field

from lablib.errors import CheckFailed
from lablib.protocol import DEVICE, PLACE, PROGRAMS, Program
from lablib.takeover import MOUNT, SILENT_MS, both_beat, switch_off, switch_on

ROUNDS = 8  # each fault once
LIMIT = 100 * ROUNDS  # more rounds have more
MARKERS = ["SELFTEST: what is not durable is told ok", "SELFTEST: durability ok"]
# The array refuses what a node that was shut out still sends, and XFS there is shut down.
EXPECTED = [r"reservation conflict", r"XFS \(sda\): .*([Ss]hut|I/O [Ee]rror|Please unmount)", r"log I/O error", r"Buffer I/O error", r"I/O error, dev sda"]
KINDS = ("append", "over", "rename", "create", "remove", "map", "shared")
BETWEEN_CHECKS = 4  # rounds, after which the volume is checked and mounted anew


class Writer(Program):
    """tests/c/durable on a node, and what it acknowledged, as it came."""

    def __init__(self, stage, node, place):
        super().__init__(stage, node, f"exec {PROGRAMS}/durable write {place} {node.number}")
        self.acknowledged: list[str] = []
        self.other: list[str] = []
        self.longest = 0.0  # seconds without one
        self._last = time.monotonic()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            text = line.decode(errors="replace").strip()
            words = text.split()
            # A line that the fault cut off is not what it looks like.
            if len(words) == 3 and words[1] in KINDS and line.endswith(b"\n"):
                now = time.monotonic()
                self.longest, self._last = max(self.longest, now - self._last), now
                self.acknowledged.append(text)
            else:
                self.other.append(text)

    def counts(self) -> dict[str, int]:
        found = dict.fromkeys(KINDS, 0)
        for text in list(self.acknowledged):
            found[text.split()[1]] += 1
        return found

    def ended(self, limit: float) -> int:
        """Its status, once it is over and all it said is here."""
        self.process.stdin.close()
        status = self.process.wait(limit * self.node.slowness)
        self._reader.join(limit)
        return status

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        self.process.stdout.close()


@dataclass
class Round:
    """What one round has written; `gone` are nodes whose writer the fault ends, and of those that were `silent` takeover may have ended it."""

    number: int
    fault: str
    victim: object
    writers: dict = field(default_factory=dict)
    gone: set = field(default_factory=set)
    silent: set = field(default_factory=set)

    @property
    def place(self) -> str:
        return f"{PLACE}/round-{self.number}"

    def lines(self) -> list[str]:
        return [line for writer in self.writers.values() for line in writer.acknowledged]


def run(stage):
    seed = stage.asked.seed if stage.asked.seed is not None else random.SystemRandom().randrange(1 << 32)
    rounds = stage.asked.rounds or ROUNDS
    stage.note(f"{rounds} rounds, the same faults again with: --seed {seed} --rounds {rounds}")
    chance = random.Random(seed)
    n1, n2 = stage.n1, stage.n2
    _is_told(stage, n1)
    stage.marker(MARKERS[0])
    stage.mkfs()
    try:
        _rounds(stage, seed, rounds, chance)
    finally:
        switch_off([n1, n2])
    stage.marker(MARKERS[1])


def _mount(stage, node, timeout=60):
    stage.mount(node, MOUNT if stage.asked.takeover else "", timeout=timeout)


def _rounds(stage, seed, rounds, chance):
    n1, n2 = stage.n1, stage.n2
    for node in (n1, n2):
        if stage.asked.takeover:
            switch_on(node)
        _mount(stage, node)
    kept, told = [], []
    deck: list[str] = []
    for number in range(1, rounds + 1):
        if not deck:
            deck = list(FAULTS)
            chance.shuffle(deck)
        this = Round(number, deck.pop(), chance.choice((n1, n2)))
        kept.append(this)
        try:
            told.append(_round(stage, this, chance))
            if number % BETWEEN_CHECKS == 0 or number == rounds:
                _anew(stage, kept)
                kept.clear()
        except Exception:
            for one in kept:
                (stage.lab.folder / f"durability-{seed}-{one.number}.acknowledged").write_text("\n".join(one.lines()) + "\n")
            raise
    _table(stage, told)
    for node in (n1, n2):
        stage.umount(node)


def _round(stage, this, chance):
    n1, n2 = stage.n1, stage.n2
    other = n2 if this.victim is n1 else n1
    n1.run(f"mkdir {this.place} && sync", timeout=60)
    if stage.asked.takeover:
        both_beat(stage)
    this.writers = {node: Writer(stage, node, this.place) for node in (n1, n2)}
    _go_on(stage, this, this.writers, f"{this.fault}: before the fault")
    # It comes anywhere in what they do.
    least = sum(len(writer.acknowledged) for writer in this.writers.values()) + chance.randrange(60)
    stage.until(lambda: sum(len(writer.acknowledged) for writer in this.writers.values()) >= least, 60, f"{this.fault}: work before the fault")
    for writer in this.writers.values():
        writer.longest = 0.0
    began = time.monotonic()
    FAULTS[this.fault](stage, this, this.victim, other, chance)
    _go_on(stage, this, [node for node in this.writers if node not in this.gone], f"{this.fault}, round {this.number}: after the fault")
    took = time.monotonic() - began
    for node, writer in this.writers.items():
        status = writer.ended(60)
        if node in this.gone or status and _was_shut_out(stage, this, node):
            continue
        stage.check(status == 0 and writer.other == ["ended"],
                    f"{this.fault}, round {this.number}: the writer on {node.name}, which was not hit, ended with status {status}: {writer.other}")
    for node in (n1, n2):
        _check(stage, node, this)
    return {"fault": this.fault, "victim": this.victim.name, "acknowledged": len(this.lines()), "seconds": took,
            "longest": max((writer.longest for node, writer in this.writers.items() if node not in this.gone), default=None)}


def _go_on(stage, this, nodes, when):
    """Each of these nodes makes at least one more record of each kind durable."""
    before = {node: this.writers[node].counts() for node in nodes}

    def all_have():
        for node in nodes:
            writer = this.writers[node]
            if node in this.gone or writer.other and _was_shut_out(stage, this, node):
                continue
            if writer.other:
                raise CheckFailed(f"{when}: the writer on {node.name} said {writer.other}")
            now = writer.counts()
            if any(now[kind] <= before[node][kind] for kind in KINDS if kind != "remove"):
                return False
        return True

    stage.until(all_have, 120, f"{when}: more of each kind from {[node.name for node in nodes]}")


def _check(stage, node, this):
    done = node.run(f"{PROGRAMS}/durable check {this.place}", check=False, timeout=120, input="\n".join(this.lines()) + "\n")
    stage.check(done.rc == 0 and done.out.startswith(f"ok: {len(this.lines())} acknowledged"), f"{this.fault}, round {this.number}: read on {node.name}: {done.out}{done.err}")


def _anew(stage, kept):
    """What the disk has once nobody has it in memory."""
    n1, n2 = stage.n1, stage.n2
    for node in (n1, n2):
        stage.umount(node)
    stage.repair()
    for node in (n1, n2):
        _mount(stage, node)
    for this in kept:
        for node in (n1, n2):
            _check(stage, node, this)
        n1.run(f"rm -r {this.place}", timeout=60)


def _table(stage, told):
    stage.note(f"{'fault':<10} {'node':<6} {'acknowledged':>12} {'fault to work again':>20} {'longest pause of who goes on':>29}")
    for one in told:
        longest = "-" if one["longest"] is None else f"{one['longest']:.1f} s"
        stage.note(f"{one['fault']:<10} {one['victim']:<6} {one['acknowledged']:>12} {one['seconds']:>18.1f} s {longest:>29}")
    stage.note(f"{sum(one['acknowledged'] for one in told)} records were acknowledged, and all are there")


# ---- that the comparison can fail

def _is_told(stage, node):
    """For each kind something that was acknowledged is taken away, or made older, in a folder of the node's own memory: each is told."""
    place = "/run/durable"
    node.run(f"rm -rf {place}; mkdir {place}")
    writer = Writer(stage, node, place)
    stage.until(lambda: min(writer.counts().values()) >= 5, 30, "five records of each kind")
    stage.same((writer.ended(30), writer.other), (0, ["ended"]), "a writer that is told to end")
    lines = "\n".join(writer.acknowledged) + "\n"
    mine = node.number
    removed = next(line.split()[2] for line in writer.acknowledged if " remove " in line)
    damages = {
        "append": f"truncate -s -1 append-{mine}",
        "append, a byte": f"printf x | dd of=append-{mine} bs=1 seek=100 conv=notrunc status=none",
        "over": f"dd if=/dev/zero of=over-{mine} bs=4096 count=1 seek=1 conv=notrunc status=none",
        "over, another place": f"dd if=over-{mine} of=over-{mine} bs=4096 count=1 skip=1 seek=2 conv=notrunc status=none",
        "rename": f"rm rename-{mine}",
        "rename, another": f"cp create-{mine}-2 rename-{mine}",
        "create": f"rm create-{mine}-2",
        "create, empty": f": >create-{mine}-2",
        "remove": f"touch create-{mine}-{removed}",
        "map": f"dd if=/dev/zero of=map-{mine} bs=1 count=1 seek=8191 conv=notrunc status=none",
        "shared": "truncate -s -512 shared",
        "shared, twice": "tail -c 512 shared >>shared",
        "shared, a hole": "truncate -s +512 shared",
    }
    stage.matches("^ok: ", node.run(f"{PROGRAMS}/durable check {place}", check=False, input=lines).out, "what nobody damaged")
    for what, damage in damages.items():
        node.run(f"cp -a {place} {place}.now && cd {place}.now && {damage}")
        done = node.run(f"{PROGRAMS}/durable check {place}.now", check=False, input=lines)
        stage.check(done.rc == 1 and done.out.startswith("not ok: "), f"not told: {what}: {done.out}{done.err}")
        node.run(f"rm -r {place}.now")
    older = [*writer.acknowledged, f"{mine} rename 99999999"]
    done = node.run(f"{PROGRAMS}/durable check {place}", check=False, input="\n".join(older) + "\n")
    stage.matches("^not ok: rename", done.out, "a file that is older than what was acknowledged")
    node.run(f"rm -r {place}")


# ---- the faults: each ends with both nodes at work again

def _power(stage, this, victim, other, chance):
    this.gone.add(victim)
    victim.kill()
    if stage.asked.takeover:
        _go_on(stage, this, [other], f"{this.fault}, round {this.number}: while {victim.name} is off")
    _boot(stage, [victim])


def _both(stage, this, victim, other, chance):
    this.gone |= {victim, other}
    victim.kill()
    other.kill()
    _boot(stage, [victim, other])


def _boot(stage, nodes):
    stage.lab.in_parallel(lambda node: node.start(), nodes)
    stage.prepare(nodes)
    if stage.asked.takeover:
        for node in nodes:
            switch_on(node)
    # Side by side: each may be the one that the other has to wait for.
    stage.lab.in_parallel(lambda node: _mount(stage, node, timeout=120), nodes)


def _daemon(stage, this, victim, other, chance):
    before = stage.daemon_pid(victim)
    victim.run(f"kill -9 {before}")
    stage.until(lambda: stage.daemon_pid(victim) not in (None, before), 60, "a new daemon")


def _shut_out(stage, this, victim, other, chance):
    """As a person does it."""
    mine, theirs = (json.loads(node.run("mxfsctl status --json", check=False, timeout=60).out)["volumes"][0]["daemon"]["node"]["key"] for node in (other, victim))

    def preempted():
        done = other.run(f"sg_persist -n -o --preempt --param-rk={mine} --param-sark={theirs} --prout-type=5 {DEVICE}", check=False, timeout=30)
        # A unit attention; or a conflict: who has just given the volume away has no key for a moment (docs/daemon.md), whichever of the two it is.
        stage.check(done.rc in (0, 6, 24), f"PREEMPT: status {done.rc}: {done.out}{done.err}")
        return done.rc == 0

    stage.until(preempted, 20, "a moment in which both keys are registered")
    stage.until(lambda: stage.status(victim)["state"] == "dead", 30, "the node that was shut out to stop")
    _comes_back(stage, this, victim)


def _was_shut_out(stage, this, node) -> bool:
    """Then it is mounted anew."""
    if not stage.asked.takeover or node not in this.silent or stage.status(node)["state"] != "dead":
        return False
    _comes_back(stage, this, node)
    return True


def _comes_back(stage, this, victim):
    """Who was shut out is mounted anew."""
    this.gone.add(victim)
    this.writers[victim].ended(60)
    stage.umount(victim)
    _mount(stage, victim, timeout=120)


def _network(stage, this, victim, other, chance):
    victim.link(False)
    try:
        time.sleep(chance.uniform(1, 20))  # how long the fault lasts
    finally:
        victim.link(True)


def _stopped(stage, this, victim, other, chance):
    pid = stage.daemon_pid(victim)
    victim.run(f"kill -STOP {pid}")
    stage.until(lambda: stage.status(victim)["lease_ms"] == "0", 60, "the lease to be over")
    if stage.asked.takeover and chance.random() < 0.5:
        time.sleep(SILENT_MS / 1000)  # how long the fault lasts
    victim.run(f"kill -CONT {pid}")
    this.silent.add(victim)


def _paused(stage, this, victim, other, chance):
    victim.pause()
    try:
        time.sleep(chance.uniform(1, 30))  # how long the fault lasts
    finally:
        victim.resume()
    this.silent.add(victim)


def _umount(stage, this, victim, other, chance):
    """Under the other node's work."""
    this.gone.add(victim)
    stage.same(this.writers[victim].ended(60), 0, "a writer that is told to end")
    stage.umount(victim)
    _mount(stage, victim)


FAULTS = {"power": _power, "both": _both, "daemon": _daemon, "shut out": _shut_out, "network": _network, "stopped": _stopped, "paused": _paused,
          "umount": _umount}
