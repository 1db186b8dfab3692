# SPDX-License-Identifier: Apache-2.0
"""`lab demo`: two machines share one XFS volume, from mkfs to the last comparison.

Nothing is believed because a command ended well. The program that makes and changes the files (vm-lab/demo/content.c)
runs on the nodes and, with the same seed, on a plain folder of the host; whatever a node shows afterwards is compared
with that folder: names, types, modes, sizes, link counts, and the SHA-256 of every file, computed by the node's own
sha256sum from what it reads and by Python here.
"""

import contextlib
import hashlib
import os
import random
import re
import shlex
import shutil
import stat
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import build, host
from .errors import CheckFailed, LabError
from .lab import Lab, logs_folder
from .node import Node

SOURCES = host.LAB_FOLDER / "demo"
DEVICE = "/dev/sda"
PLACE = "/mnt/shared"

# Process ids of daemons, by the program they run, whatever they call themselves.
DAEMONS = "ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's,.*/proc/\\([0-9]*\\)/exe -> /usr/lib/mxfs/.*,\\1,p'"

# What the demo provokes on purpose: nothing.
EXPECTED: list[str] = []


@dataclass(frozen=True)
class Settings:
    seed: int
    files: int = 400
    big: int = 256 << 20
    seconds: int = 20


@dataclass
class Numbers:
    """What the demo measured; times in milliseconds, by the node's own clock."""

    mounts: list[float] = field(default_factory=list)
    umounts: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    daemon_rss_kib: list[int] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    compared_files: int = 0
    compared_bytes: int = 0

    def table(self) -> str:
        lines = [f"{'':<24} {'min':>10} {'median':>10} {'max':>10} {'':<4} {'count':>6}"]
        for name, values, unit in (("mount", self.mounts, "ms"), ("umount", self.umounts, "ms"),
                                   ("ownership change", self.changes, "ms"),
                                   ("daemon RSS", [kib / 1024 for kib in self.daemon_rss_kib], "MiB")):
            lines.append(f"{name:<24} {min(values):>10.0f} {statistics.median(values):>10.0f} {max(values):>10.0f} {unit:<4} "
                         f"{len(values):>6}" if values else f"{name:<24} {'not seen':>10}")
        for name, value in (("files on the volume", self.files), ("bytes on the volume", self.bytes),
                            ("files compared", self.compared_files), ("bytes compared", self.compared_bytes)):
            lines.append(f"{name:<24} {value:>10}")
        return "\n".join(lines)


def run(settings: Settings) -> Numbers:
    """Runs the whole demo; raises CheckFailed with what was wrong."""
    began = time.monotonic()
    print(f"mxfs demo, seed {settings.seed} (same files again: --seed {settings.seed})", flush=True)
    tree = build.install_tree()
    content = build.c_tests(SOURCES) / "content"
    lab = Lab.ephemeral("demo", 2, dist=tree, disk_size=4 << 30)
    try:
        with lab:
            demo = _Demo(lab, content, settings, began)
            try:
                demo.run()
            except LabError as error:
                error.what += f"\n{demo.last_words()}"
                raise
    except LabError as error:
        error.todo = (error.todo + "; " if error.todo else "") + f"all logs: {logs_folder(lab.name)}"
        raise
    print(f"\n{demo.numbers.table()}\n\nwhole demo: {time.monotonic() - began:.0f} s", flush=True)
    return demo.numbers


class _Demo:
    def __init__(self, lab: Lab, content: Path, settings: Settings, began: float):
        self.lab, self.content, self.settings, self.began = lab, content, settings, began
        self.first, self.second = lab.nodes
        self.numbers = Numbers()
        self.reference = lab.folder / "reference"

    # ---- the story

    def run(self) -> None:
        first, second, settings = self.first, self.second, self.settings
        self.reference.mkdir()
        shutil.copy(self.content, self.lab.share / "content")
        self.lab.on_all("test -e /dev/mxfs-lab && cp /host/content /run/content")

        with self.step("node1: mkfs.xfs on the shared disk"):
            first.run(f"mkfs.xfs -q {DEVICE}")
        for node in self.lab.nodes:
            with self.step(f"{node.name}: mount -t mxfs {DEVICE} {PLACE}") as note:
                note(f"{self.mount(node):.0f} ms")

        with self.step(f"node1 writes {settings.files} small files and one of {settings.big >> 20} MiB"):
            self.on_node_and_reference(first, "tree", settings.files, settings.big)
        with self.step("node2 reads them and compares SHA-256") as note:
            note(self.compare(second))
        with self.step("node2 overwrites, appends, truncates, renames, replaces, removes"):
            self.on_node_and_reference(second, "change")
        with self.step("node1 reads everything and compares SHA-256") as note:
            note(self.compare(first))

        with self.step(f"both write in the same directory for {settings.seconds} s, taking turns") as note:
            note(self.both())
        for node in self.lab.nodes:
            with self.step(f"{node.name} reads that directory and compares SHA-256") as note:
                note(self.compare(node, "both"))

        self.collect()
        for node in self.lab.nodes:
            with self.step(f"{node.name}: umount {PLACE}") as note:
                note(f"{self.umount(node):.0f} ms")
        self.nothing_left()
        with self.step("node1: xfs_repair -n"):
            self.repair(first)

        with self.step("both mount at the same moment") as note:
            note(", ".join(f"{ms:.0f} ms" for ms in self.lab.in_parallel(self.mount)))
        for node in (second, first):
            with self.step(f"{node.name} compares names, sizes and modes, and the shared directory's SHA-256") as note:
                self.compare_names(node)
                note(self.compare(node, "both"))
        self.collect()
        with self.step("both umount at the same moment") as note:
            note(", ".join(f"{ms:.0f} ms" for ms in self.lab.in_parallel(self.umount)))
        self.nothing_left()
        with self.step("node2: xfs_repair -n"):
            self.repair(second)

        with self.step("node2: plain mount -t xfs, everything compared once more") as note:
            second.run(f"mount -t xfs {DEVICE} {PLACE}")
            note(self.compare(second))
            added = second.run(f"cd {PLACE} && ls -A").out.split()
            more = set(added) - set(os.listdir(self.reference)) - {".mxfs"}
            if more:
                raise CheckFailed(f"the volume's root holds {', '.join(sorted(more))}, which nobody made")
            second.run(f"umount {PLACE}")
            self.repair(second)
        with self.step("kernel logs of both nodes"):
            self.lab.scan(EXPECTED)

    # ---- steps

    @contextlib.contextmanager
    def step(self, what: str):
        notes: list[str] = []
        start = time.monotonic()
        try:
            yield notes.append
        except BaseException:
            self.tell(f"{what}: FAILED", start)
            raise
        self.tell(f"{what}: {', '.join(notes) or 'ok'}", start)

    def tell(self, text: str, start: float) -> None:
        now = time.monotonic()
        print(f"[{now - self.began:6.1f}s {now - start:+6.1f}s] {text}", flush=True)

    def timed(self, node: Node, command: str, limit: float = 90) -> float:
        """Runs a command and returns its milliseconds by the node's clock; ssh is not in them."""
        said = node.run(f"s=$EPOCHREALTIME; {command}; r=$?; e=$EPOCHREALTIME; echo took=$(( ${{e/./}} - ${{s/./}} )); exit $r",
                        timeout=limit)
        return int(re.search(r"took=(\d+)", said.out)[1]) / 1000

    def mount(self, node: Node) -> float:
        took = self.timed(node, f"mount -t mxfs {DEVICE} {PLACE}")
        mounted = node.run(f"findmnt -n -o FSTYPE,SOURCE {PLACE}").out.split()
        if mounted != ["mxfs", DEVICE]:
            raise CheckFailed(f"{node.name}: mount ended well, and {PLACE} is {mounted or 'not mounted'}")
        self.numbers.mounts.append(took)
        return took

    def umount(self, node: Node) -> float:
        took = self.timed(node, f"umount {PLACE}")
        if node.run(f"findmnt -n {PLACE}", check=False).out.strip():
            raise CheckFailed(f"{node.name}: umount ended well, and {PLACE} is still mounted")
        self.numbers.umounts.append(took)
        return took

    def nothing_left(self) -> None:
        """Everything starts with the mount and stops with the umount (U1): no daemon, no key, no reservation."""
        for node in self.lab.nodes:
            left = node.run(DAEMONS, check=False).out.strip()
            if left:
                raise CheckFailed(f"{node.name}: after umount a daemon still runs: {left}")
        keys, reservation = (self.persist(f"-i {what}") for what in ("-k", "-r"))
        if re.search(r"\b0x[0-9a-f]+\n", keys) and "there are NO registered" not in keys:
            raise CheckFailed(f"after the last umount reservation keys are left:\n{keys.strip()}")
        if "there is NO reservation" not in reservation:
            raise CheckFailed(f"after the last umount a reservation is left:\n{reservation.strip()}")

    def persist(self, arguments: str) -> str:
        """sg_persist on node1. Changes of reservations wait there as unit attentions, and each fails one command (SAM-5 5.14)."""
        for _ in range(8):
            done = self.first.run(f"sg_persist -n {arguments} {DEVICE}", check=False)
            if done.rc != 6:  # sg3_utils(8): 6 is a unit attention
                break
        if done.rc:
            raise CheckFailed(f"node1: sg_persist {arguments} ended with status {done.rc}:\n{(done.out + done.err).strip()}")
        return done.out

    def repair(self, node: Node) -> None:
        done = node.run(f"xfs_repair -n {DEVICE}", check=False, timeout=120)
        if done.rc:
            raise CheckFailed(f"xfs_repair -n found the volume unclean (status {done.rc}):\n{(done.out + done.err).strip()[-3000:]}")

    def on_node_and_reference(self, node: Node, command: str, *arguments: object) -> None:
        words = [command, str(self.settings.seed)]
        rest = [str(argument) for argument in arguments]
        host.call([str(self.content), *words, str(self.reference), *rest], f"content {command} on the host")
        node.run(shlex.join(["/run/content", *words, PLACE, *rest]), timeout=180)

    # ---- both at once

    def both(self) -> str:
        settings = self.settings
        results = self.lab.in_parallel(lambda node: node.run(
            f"/run/content both {settings.seed} {PLACE}/both {node.number} {settings.seconds}", timeout=settings.seconds + 120))
        place = self.reference / "both"
        made = subprocess.run([str(self.content), "make", str(settings.seed), str(place)], text=True,
                              input="".join(result.out for result in results), capture_output=True)
        if made.returncode:
            raise CheckFailed(f"content make on the host: {made.stderr.strip()}")
        did = [dict(zip(words[::2], map(int, words[1::2]))) for words in
               (re.search(r"^did (.*)$", result.out, re.M)[1].split() for result in results)]
        self.check_claims([result.out for result in results], place)
        self.check_common([one["records"] for one in did], place)
        for node, one in zip(self.lab.nodes, did):
            if not one["created"]:
                raise CheckFailed(f"{node.name} did not get a single file created in {settings.seconds} s: it starved")
        kinds = ("created", "appended", "renamed", "replaced", "removed", "records", "claims")
        return "; ".join(f"{node.name} {sum(one[kind] for kind in kinds)} changes, checked {one['checked']} own and "
                         f"{one['others']} of the other's files, longest wait {one['longest_ms']} ms"
                         for node, one in zip(self.lab.nodes, did))

    def check_claims(self, reports: list[str], place: Path) -> None:
        """open(O_CREAT | O_EXCL) of the same name on both nodes: one wins, never both."""
        won = [set(map(int, re.findall(r"^claim (\d+)$", report, re.M))) for report in reports]
        if twice := won[0] & won[1]:
            raise CheckFailed(f"both nodes created claim-{min(twice):06d} exclusively ({len(twice)} such files)")
        everything = won[0] | won[1]
        if missing := set(range(max(everything, default=-1) + 1)) - everything:
            raise CheckFailed(f"neither node created claim-{min(missing):06d}, and both met it as existing")
        for node, numbers in zip(self.lab.nodes, won):
            for number in numbers:
                (place / f"claim-{number:06d}").write_text(f"{node.number}\n")

    def check_common(self, counts: list[int], place: Path) -> None:
        """One file, appended to by both with O_APPEND: each record once, whole, and each node's in its order."""
        common = self.first.run(f"cat {PLACE}/both/common").out
        seen = [0, 0]
        for number, line in enumerate(common.splitlines()):
            fields = re.fullmatch(r"node ([12]) record (\d{8}) [0-9a-f]{8}", line)
            if not fields or int(fields[2]) != seen[int(fields[1]) - 1]:
                raise CheckFailed(f"common, line {number + 1}: {line!r}; expected is record {seen[0]} of node 1 or {seen[1]} of node 2")
            seen[int(fields[1]) - 1] += 1
        if seen != counts:
            raise CheckFailed(f"common holds {seen} records of node 1 and 2; appended were {counts}")
        (place / "common").write_text(common)

    # ---- comparing

    def compare(self, node: Node, below: str = ".") -> str:
        start = time.monotonic()
        self.compare_names(node, below)
        command = (f"cd {PLACE} && find {below} -path ./.mxfs -prune -o -type f -print0 | LC_ALL=C sort -z | "
                   "xargs -0 -r sha256sum --")
        seen = dict(reversed(line.split("  ", 1)) for line in node.run(command, timeout=300).out.splitlines())
        wanted, size = {}, 0
        for path in sorted(self.reference.joinpath(below).rglob("*")):
            if path.is_file() and not path.is_symlink():
                name = f"./{path.relative_to(self.reference)}" if below == "." else str(path.relative_to(self.reference))
                with open(path, "rb") as file:
                    wanted[name] = hashlib.file_digest(file, "sha256").hexdigest()
                size += path.stat().st_size
        self.differ(node, seen, wanted, "SHA-256")
        self.numbers.compared_files += len(wanted)
        self.numbers.compared_bytes += size
        if below == ".":
            self.numbers.files, self.numbers.bytes = len(wanted), size
        took = time.monotonic() - start
        return f"{len(wanted)} files, {size / 1e6:.0f} MB, all right ({size / 1e6 / took:.0f} MB/s)"

    def compare_names(self, node: Node, below: str = ".") -> None:
        """Names, types, modes, sizes, link counts, targets of links; of folders only what every file system has."""
        said = node.run(f"cd {PLACE} && find {below} -path ./.mxfs -prune -o -type d -printf 'd %m\\t%p\\n' "
                        "-o -type l -printf 'l %l\\t%p\\n' -o -printf '%y %m %s bytes, %n links\\t%p\\n'", timeout=120).out
        seen = {name: what for what, name in (line.split("\t", 1) for line in said.splitlines())}
        top = self.reference / below
        wanted = {}
        for path in [top, *top.rglob("*")]:
            relative = path.relative_to(self.reference)
            name = str(relative) if below != "." else "." if path == top else f"./{relative}"
            about = path.lstat()
            mode = format(stat.S_IMODE(about.st_mode), "o")
            if stat.S_ISDIR(about.st_mode):
                wanted[name] = f"d {mode}"
            elif stat.S_ISLNK(about.st_mode):
                wanted[name] = f"l {os.readlink(path)}"
            else:
                wanted[name] = f"f {mode} {about.st_size} bytes, {about.st_nlink} links"
        # The root itself belongs to mkfs, not to us.
        seen.pop(".", None), wanted.pop(".", None)
        self.differ(node, seen, wanted, "what stat says")

    def differ(self, node: Node, seen: dict, wanted: dict, what: str) -> None:
        wrong = [f"{name}: is {seen.get(name, 'not there')}, must be {wanted.get(name, 'not there')}"
                 for name in sorted(seen.keys() | wanted.keys()) if seen.get(name) != wanted.get(name)]
        if wrong:
            raise CheckFailed(f"{node.name}: {len(wrong)} of {len(wanted)} files differ ({what}):\n  " + "\n  ".join(wrong[:12]))

    # ---- numbers

    def collect(self) -> None:
        """Before umount, because these go away with it."""
        name = DEVICE.rsplit("/", 1)[1]
        for node in self.lab.nodes:
            said = node.run(f"cat /sys/kernel/debug/mxfs/{name}/changes").out
            self.numbers.changes += [int(line) / 1000 for line in said.split()]
            rss = node.run(f"for p in $({DAEMONS}); do grep VmRSS /proc/$p/status; done").out
            self.numbers.daemon_rss_kib += [int(kib) for kib in re.findall(r"VmRSS:\s*(\d+) kB", rss)]

    def last_words(self) -> str:
        """The ends of both nodes' logs, for a failure's text."""
        parts = []
        for node in self.lab.nodes:
            kept = self.lab.share / ".nodes" / node.name
            logs = [*sorted(kept.glob("log-mxfs/*")), node.console_log]
            if not node.running:
                parts.append(f"-- {node.name} is off")
            parts += [f"-- {node.name}, end of {log.name}:\n" + "\n".join(log.read_text(errors="replace").replace("\r", "")
                      .strip().splitlines()[-12:]) for log in logs if log.exists()]
        try:
            self.lab.scan(EXPECTED)
        except CheckFailed as complaint:
            parts.append(f"-- {complaint.what}")
        return "\n".join(parts)


def new_seed() -> int:
    return random.SystemRandom().randrange(1, 1 << 32)
