# SPDX-License-Identifier: Apache-2.0
"""`lab protocol`: scripts that prove one thing each on two nodes that share a disk.

A script is a file of vm-lab/protocol/. Its docstring says what it proves; `run(stage)` does it; LIMIT is its time limit in
seconds; MARKERS are the lines that it prints, each only after what it stands for was read back and found right;
EXPECTED are kernel complaints that it provokes on purpose; ROUNDS, where it has that, is how many it does unless asked for others; OWN_BOOT = True says that it mounts plain XFS where mxfs runs, too
(Stage.plain tells why that matters). The nodes are booted once for many scripts, so each one must leave
them as it found them, and after each one that is checked: no mount, no daemon, no registered key, no
kernel complaint. Where that fails, so does the script, and the nodes are booted afresh for the next.

RUN_TIMEOUT=90s replaces a script's own limit; both are for Debian's kernel, and multiplied for a slower one (Image.slowness). RUN_UNTIL_MARKER=1 ends it at its last marker, without the rest of the script.
"""

import contextlib
import importlib.util
import os
import re
import select
import shlex
import signal
import subprocess
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Iterator

from . import build, host, kernel as kernels, progress, scan as scanner, ssh
from .errors import USAGE, CheckFailed, LabError, TimedOut
from .lab import Lab, logs_folder
from .node import Node, Result

FOLDER = host.LAB_FOLDER / "protocol"
DEVICE = "/dev/sda"
PLACE = "/mnt/shared"
READY_MS = 30_000  # MXFS_DEFAULT_READY_MS
LONGEST_READY_MS = 600_000  # the option's range
KMEMLEAK = "/sys/kernel/debug/kmemleak"
SLOWNESS = "/run/lab-slowness"  # tests/c/tap.h looks there
DAEMON = "/usr/sbin/mxfsd"
PROGRAMS = "/run/t"  # where the programs of tests/c are on a node
# The daemon: what the kernel starts is a script that becomes the JVM. Anchored, or a shell that looks for it would find itself.
FIND_DAEMON = "pgrep -f '^(/bin/sh )?(/usr/sbin/mxfsd|/usr/lib/mxfs/bin/java)'"

# The order of a whole run: what needs least comes first, so that the first failure says most.
ORDER = ("module", "netlink", "blockio", "options", "same-options", "validate", "badsb", "daemon-bad", "no-reservations", "scsi", "scsi-lio",
         "scsi-iscsi", "scsi-check", "in-use", "device", "partition", "mount-helper", "quotas", "cycles", "posix", "ro", "two-node", "lockstate", "names", "full",
         "own-folder", "nfs", "admin", "attrs", "maps", "pages", "beside", "stress", "fairness", "daemon-killed", "status", "blocked", "fenced", "life", "daemon-ends", "write-errors", "home", "below", "suspend", "durability",
         "takeover", "takeover-iscsi")
# Not in a whole run yet: vm-lab/protocol/README.md says why.
BY_NAME = ("packages",)


def names() -> list[str]:
    return list(ORDER)


@dataclass(frozen=True)
class Asked:
    """What was asked of the scripts that go by chance; None: as the script has it."""

    rounds: int | None = None
    seed: int | None = None
    takeover: bool = False


@dataclass(frozen=True)
class Outcome:
    name: str
    ok: bool
    why: str
    seconds: float


class Reached(Exception):
    """RUN_UNTIL_MARKER: the last marker was printed."""


def load(name: str) -> ModuleType:
    file = FOLDER / f"{name}.py"
    if name not in ORDER + BY_NAME or not file.exists():
        raise LabError(f"there is no protocol script '{name}'", f"one of: {', '.join(ORDER + BY_NAME)}", USAGE)
    spec = importlib.util.spec_from_file_location(f"protocol.{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalogue() -> list[dict]:
    """What there is, for --list."""
    found = []
    for name in ORDER:
        module = load(name)
        found.append({"name": name, "limit": module.LIMIT, "markers": module.MARKERS,
                      "proves": " ".join(module.__doc__.split())})
    return found


def run_all(tree: Path | None = None) -> Iterator[Outcome]:
    return run(list(ORDER), tree=tree)


def run(chosen: list[str], tree: Path | None = None, lab_name: str | None = None, kernel: str | None = None,
        beats: int | None = None, asked: Asked = Asked()) -> Iterator[Outcome]:
    """Runs scripts in a lab of their own, or in one that is up; an outcome as soon as there is one."""
    modules = {name: load(name) for name in chosen}
    if asked != Asked() and not any(hasattr(module, "ROUNDS") for module in modules.values()):
        raise LabError("none of these scripts goes by rounds, a seed or --takeover", f"one that does: {', '.join(name for name in names() if hasattr(load(name), 'ROUNDS'))}", USAGE)
    programs = build.c_tests()
    if lab_name is not None:
        yield from _run_in(Lab.open(lab_name), modules, programs, asked)
        return
    made = kernels.ensure(kernel)
    with Lab.ephemeral("protocol", 2, dist=tree or build.install_tree(made, beats), disk_size=6 << 30,
                       kernel=made.kind) as lab:
        yield from _run_in(lab, modules, programs, asked)
    progress.say(f"logs: {logs_folder(lab.name)}")


def _run_in(lab: Lab, modules: dict[str, ModuleType], programs: Path, asked: Asked) -> Iterator[Outcome]:
    stage = Stage(lab, programs, asked)
    stage.prepare()
    for name, module in modules.items():
        yield _run_one(stage, name, module)
    if stage.debug:
        yield _leaks(stage)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)?", text.strip())
    if not match:
        raise LabError(f"RUN_TIMEOUT={text} is no time", "such as 90s, 5m", USAGE)
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, None: 1}[match[2]]


def _run_one(stage: "Stage", name: str, module: ModuleType) -> Outcome:
    start = time.monotonic()
    own = os.environ.get("RUN_TIMEOUT")
    rounds = getattr(module, "ROUNDS", 1)
    limit = (_seconds(own) if own else module.LIMIT * max(1, (stage.asked.rounds or rounds) / rounds)) * stage.slowness
    why = ""
    try:
        stage.begin(name, module)
        with _time_limit(limit, name):
            try:
                module.run(stage)
                missing = [marker for marker in module.MARKERS if marker not in stage.printed]
                if missing:
                    raise CheckFailed(f"the script ended without its marker: {missing[0]}")
            except Reached:
                pass
    except LabError as error:
        why = str(error)
    except Exception:  # a fault of the script itself
        why = traceback.format_exc()
    finally:
        stage.close_programs()
    # What it left, whether it ended well or not; what it found first is what is told first.
    try:
        for check in (stage.check_left, lambda: stage.check_console(module.EXPECTED)):
            try:
                with _time_limit(120 * stage.slowness, f"{name}: looking at what it left"):
                    check()
            except LabError as error:
                why += ("\n" if why else "") + str(error)
        if why:
            stage.keep_evidence()
            stage.boot_afresh()
        elif stage.own_boot:
            stage.next_boot()
    except LabError as error:
        why += f"\nand the nodes could not be booted afresh: {error}"
    return Outcome(name, not why, why, time.monotonic() - start)


def _leaks(stage: "Stage") -> Outcome:
    """At the end of a run on the debug kernel: the module goes, and what nobody points to any more is a leak."""
    start = time.monotonic()
    why = ""
    try:
        found = stage.leaked + [line for lines in stage.lab.in_parallel(stage.leaks) for line in lines]
        if found:
            why = "memory that nothing points to (kmemleak):\n" + "\n".join(found)
    except LabError as error:
        why = str(error)
    return Outcome("kmemleak", not why, why, time.monotonic() - start)


@contextlib.contextmanager
def _time_limit(seconds: float, what: str):
    """Raises TimedOut in the main thread, wherever it waits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(_number, _frame):
        raise TimedOut(f"{what} did not end within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Tried:
    """What became of a mount, by tests/c/try_mount."""

    errno: str
    said: str

    @property
    def mounted(self) -> bool:
        return self.errno == "0"


class Stage:
    """Two nodes, the shared disk, and what all scripts do with them."""

    def __init__(self, lab: Lab, programs: Path, asked: Asked = Asked()):
        self.lab = lab
        self.programs = programs
        self.asked = asked
        self.n1, self.n2 = lab.nodes[0], lab.nodes[1]
        self.name = ""
        self.printed: list[str] = []
        self._markers: list[str] = []
        self._offsets: dict[str, int] = {}
        self._open: list[Program] = []
        self._marks = 0
        self._used = False
        self.own_boot = False
        self.leaked: list[str] = []  # in boots that are over

    @property
    def debug(self) -> bool:
        """The nodes run the debug kernel."""
        return self.lab.image.kind == "debug"

    @property
    def slowness(self) -> float:
        return self.lab.image.slowness

    @property
    def plain(self) -> Node:
        """Where the shared disk is mounted as plain XFS.

        With lockdep that is a node of its own, booted when it is first needed, on which mxfs is never mounted. Plain XFS takes mmap_lock with
        a file locked (a write faults its source in); mxfs, in a fault, locks the lower file with mmap_lock held. No file is both, but lockdep
        has one class for all files of XFS: in one boot it would report an order that is none, and look no more (docs/kernel.md).
        """
        if not self.debug:
            return self.n1
        if len(self.lab.nodes) < 3:
            self.note("booting a node for plain XFS")
            self.prepare([self.lab.add_node()])
        return self.lab.nodes[2]

    # ---- the frame of a script

    def prepare(self, nodes: list[Node] | None = None) -> None:
        def one(node: Node) -> None:
            node.run("test -e /dev/mxfs-lab && mkdir -p " + PLACE)
            node.push(self.programs, PROGRAMS)
            node.run(f"chmod 755 {PROGRAMS}/*; modprobe -a mxfs loop; echo {self.slowness:.0f} >{SLOWNESS}")
            if self.debug:  # what the boot itself lost is not ours
                node.run(f"echo scan >{KMEMLEAK}; echo clear >{KMEMLEAK}", timeout=120)
        self.lab.in_parallel(one, nodes)

    def begin(self, name: str, module: ModuleType) -> None:
        self.name, self.printed, self._markers = name, [], list(module.MARKERS)
        self._offsets = {node.name: node.console_size() for node in self.lab.nodes}
        progress.say(f"{name} ...")
        self.own_boot = self.debug and getattr(module, "OWN_BOOT", False)
        if self.own_boot and self._used:
            self.next_boot()
        self._used = True

    def marker(self, text: str) -> None:
        """A stable line, printed only after what it says was read back."""
        print(text, flush=True)
        self.printed.append(text)
        if os.environ.get("RUN_UNTIL_MARKER") == "1" and self._markers and text == self._markers[-1]:
            raise Reached

    def note(self, text: str) -> None:
        progress.say(f"{self.name}: {text}")

    def check(self, fine, what: str) -> None:
        if not fine:
            raise CheckFailed(what)

    def same(self, got, expected, what: str) -> None:
        if got != expected:
            raise CheckFailed(f"{what}: {got!r}, expected {expected!r}")

    def matches(self, pattern: str, text: str, what: str) -> None:
        if not re.search(pattern, text):
            raise CheckFailed(f"{what}: nothing like '{pattern}' in:\n{text.strip()[-1500:]}")

    def until(self, condition, limit: float, what: str):
        """Polls until the condition is true; its value."""
        end = time.monotonic() + limit * self.slowness
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise TimedOut(f"not within {limit:.0f} s: {what}")
            time.sleep(0.1)

    def ends(self, node: Node, command: str, limit: float, what: str) -> Result:
        """A command that ends by itself within so many seconds; what it said."""
        began = time.monotonic()
        done = node.run(f"timeout -s KILL {limit * self.slowness:g} {command} || exit $?", check=False, timeout=limit + 30)
        self.check(done.rc not in (124, 137), f"{what}: not over after {limit} s")
        self.note(f"{what}: {time.monotonic() - began:.1f} s, status {done.rc}")
        return done

    # ---- what a script leaves

    def leftovers(self, node: Node) -> list[str]:
        found = []
        text = node.run("cat /proc/mounts; echo ==; " + FIND_DAEMON + "; echo ==; pgrep -a try_mount; pgrep -ax mount; echo ==; "
                        "losetup -a; echo ==; lsmod | sed -n 's/^mxfs *[0-9]* *\\([0-9]*\\).*/\\1/p'", timeout=30).out
        parts = [part.strip() for part in text.split("==\n")]
        if mounts := [line for line in parts[0].splitlines() if " mxfs " in line or f" {PLACE} " in line or " xfs " in line]:
            found.append(f"{node.name}: still mounted: {mounts}")
        if parts[1]:
            found.append(f"{node.name}: a daemon is still there: pid {parts[1]}")
        if parts[2]:
            found.append(f"{node.name}: a mount still hangs: {parts[2]}")
        if parts[3]:
            found.append(f"{node.name}: loop devices are still there: {parts[3]}")
        if parts[4] not in ("", "0"):
            found.append(f"{node.name}: the module is still in use: {parts[4]}")
        return found

    def check_left(self) -> None:
        for node in self.lab.nodes:
            if node.state != "running":
                raise CheckFailed(f"{node.name} is {node.state} after the script")
        found = [line for lines in self.lab.in_parallel(self.leftovers) for line in lines]
        if self.debug:
            # After its first report lockdep looks no more, and every later script would pass unseen.
            found += [f"{node.name}: lockdep has turned itself off" for node in self.lab.nodes
                      if re.search(r"^ debug_locks: +0$", node.run("cat /proc/lockdep_stats").out, re.M)]
        if keys := self.keys(self.n1):
            found.append(f"keys are still registered: {keys}")
        if found:
            raise CheckFailed("left behind: " + "; ".join(found))

    def leaks(self, node: Node) -> list[str]:
        """What kmemleak tells once the module is gone; the node has it again afterwards.

        An object is told only when it is some seconds old and two scans found no pointer to it: one that moved is none.
        """
        node.run("rmmod mxfs; sync; echo 3 >/proc/sys/vm/drop_caches; sleep 6", timeout=60)
        for _ in range(2):
            node.run(f"echo scan >{KMEMLEAK}", timeout=120)
        found = node.run(f"cat {KMEMLEAK}", timeout=60).out
        node.run("modprobe mxfs")
        return [f"{node.name}: {part.strip()}" for part in re.split(r"(?m)^(?=unreferenced object)", found) if part.strip()]

    def check_console(self, expected: list[str]) -> None:
        """No kernel complaint since the script began."""
        found = []
        for node in self.lab.nodes:
            part = self.lab.folder / f"protocol-{self.name}-{node.name}.log"
            part.write_text(node.console(self._offsets.get(node.name, 0)))  # one that came later: from its boot on
            found += scanner.scan(part, expected)
            if not found:
                part.unlink()
        if found:
            raise CheckFailed("kernel complaints on the console:\n" + "\n".join(map(str, found)))

    def keep_evidence(self) -> None:
        """The ends of the logs and where tasks wait, for a script that failed."""
        for node in self.lab.nodes:
            with contextlib.suppress(LabError):
                text = node.run("dmesg | tail -n 80; echo; cat /sys/kernel/debug/mxfs/*/status; tail -n 60 /var/log/mxfs/*.log; "
                                "for p in /proc/[0-9]*; do s=$(cat $p/stat 2>/dev/null); case $s in *') D '*) "
                                "cat $p/comm $p/stack;; esac; done", check=False, timeout=20).out
                (self.lab.folder / f"failed-{self.name}-{node.name}.log").write_text(text)

    def next_boot(self) -> None:
        """Between scripts, of the nodes that mxfs runs on: kmemleak is asked before all is forgotten."""
        both = [self.n1, self.n2]
        self.leaked += [line for lines in self.lab.in_parallel(self.leaks, both) for line in lines]
        self.boot_afresh(both)

    def boot_afresh(self, nodes: list[Node] | None = None) -> None:
        self.note("booting the nodes afresh")
        for node in nodes or self.lab.nodes:
            node.stop()
        self.lab.in_parallel(Node.start, nodes)
        self.n2.link(True)
        self.clear_keys()
        self.prepare(nodes)
        self._used = False

    # ---- the shared disk

    def persist(self, node: Node, arguments: str) -> str:
        """sg_persist on a node. A unit attention (status 6) says that the command was not done and why: once for each, then it goes on."""
        command = f"sg_persist -n {arguments} {DEVICE}"
        return node.run(f"for i in 1 2 3 4 5; do {command}; rc=$?; test $rc = 6 || exit $rc; done; exit $rc", timeout=30).out

    def keys(self, node: Node) -> list[str]:
        """The registered reservation keys, as the array tells them."""
        return re.findall(r"^\s+0x([0-9a-f]+)$", self.persist(node, "-i -k"), re.M)

    def holder(self, node: Node) -> str | None:
        match = re.search(r"Key=0x([0-9a-f]+)", self.persist(node, "-i -r"))
        return match[1] if match else None

    def clear_keys(self) -> None:
        """All registrations and the reservation away, by a key of our own: for nodes that were powered off."""
        self.persist(self.n1, "-o --register-ignore --param-sark=0x1ab")
        self.persist(self.n1, "-o --clear --param-rk=0x1ab")

    def mkfs(self, node: Node | None = None, options: str = "") -> None:
        (node or self.n1).run(f"mkfs.xfs -q -f {options} {DEVICE}")

    def repair(self, node: Node | None = None) -> None:
        """xfs_repair -n finds nothing."""
        done = (node or self.n1).run(f"xfs_repair -n {DEVICE} 2>&1", check=False, timeout=300)
        self.check(done.rc == 0, f"xfs_repair -n ended with status {done.rc}:\n{done.out[-2000:]}")

    # ---- mounting

    def mount_command(self, options: str = "", kind: str = "mxfs") -> str:
        """mount(8), without device and place. Where the kernel is slow, the daemon has longer to be ready."""
        if kind == "mxfs" and self.slowness > 1 and "ready_ms=" not in options:
            options = ",".join(filter(None, (options, f"ready_ms={min(READY_MS * self.slowness, LONGEST_READY_MS):.0f}")))
        return f"mount -t {kind} -o {options}" if options else f"mount -t {kind}"

    def mount(self, node: Node, options: str = "", device: str = DEVICE, place: str = PLACE, kind: str = "mxfs",
              timeout: float = 60) -> float:
        """Mounts with mount(8); the milliseconds it took, by the node's clock."""
        out = node.run(f"s=$(date +%s%N); {self.mount_command(options, kind)} {device} {place} && e=$(date +%s%N) && "
                       "echo $(((e - s) / 1000))", timeout=timeout).out
        return int(out.split()[-1]) / 1000

    def umount(self, node: Node, place: str = PLACE, timeout: float = 60) -> float:
        out = node.run(f"s=$(date +%s%N); umount {place} && e=$(date +%s%N) && echo $(((e - s) / 1000))", timeout=timeout).out
        return int(out.split()[-1]) / 1000

    def try_mount(self, node: Node, *options: str, device: str = DEVICE, place: str = PLACE, kind: str = "mxfs",
                  timeout: float = 60) -> Tried:
        done = node.run(shlex.join([f"{PROGRAMS}/try_mount", kind, device, place, *options]), check=False, timeout=timeout)
        if done.rc in (124, 137):
            raise TimedOut(f"{node.name}: mount of {device} with {options or 'no options'} did not end within {timeout:.0f} s")
        match = re.search(r"^errno (\w+)", done.out)
        if not match:
            raise CheckFailed(f"{node.name}: try_mount said {done.out + done.err!r}")
        return Tried(match[1], done.out)

    def refused(self, node: Node, errno: str, pattern: str, *options: str, what: str = "", log: str | None = None,
                **where) -> Tried:
        """A mount is refused: with this errno, a message for the mounter, one line in the kernel log, and nothing left."""
        what = what or f"mount with {','.join(options) or 'no options'}"
        mark = self.mark(node) if log is not None else ""
        tried = self.try_mount(node, *options, **where)
        if tried.mounted:
            node.run(f"umount {where.get('place', PLACE)}", check=False)
            raise CheckFailed(f"{node.name}: {what}: it was mounted, expected {errno}")
        self.same(tried.errno, errno, f"{node.name}: {what}: errno\n{tried.said}")
        self.matches(pattern, tried.said, f"{node.name}: {what}: the mounter's message")
        if log is not None:
            lines = [line for line in self.kernel_log(node, mark).splitlines() if re.search(log, line)]
            self.check(lines, f"{node.name}: {what}: no line like '{log}' in the kernel log:\n{self.kernel_log(node, mark)}")
        return tried

    def status(self, node: Node) -> dict[str, str]:
        """The module's own account of the mount (debugfs)."""
        text = node.run("cat /sys/kernel/debug/mxfs/*/status", timeout=20).out
        return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)

    def owner(self) -> Node | None:
        for node in (self.n1, self.n2):
            if self.status(node).get("state") == "attached":
                return node
        return None

    def take(self, node: Node) -> None:
        """This node is the owner now."""
        node.run(f"touch {PLACE}/turn")

    def nameless(self, node: Node) -> list[str]:
        """The names in .mxfs/orphans. Nobody sees them through a mount."""
        return node.run("cat /sys/kernel/debug/mxfs/*/orphans").out.split()

    def daemon_pid(self, node: Node) -> int | None:
        out = node.run(FIND_DAEMON, check=False, timeout=20).out.split()
        return int(out[0]) if out else None

    @contextlib.contextmanager
    def solo(self, node: Node):
        """tests/c/mxfsd_solo is this node's daemon, for one node alone; a function that gives it options, for the next mount."""
        def options(text: str) -> None:
            node.run(f"printf '#!/bin/sh\\nexec {PROGRAMS}/mxfsd_solo {text} \"$@\"\\n' >{DAEMON}; chmod 755 {DAEMON}")

        node.run(f"mv {DAEMON} {DAEMON}.kept")
        try:
            yield options
        finally:
            node.run(f"mv -f {DAEMON}.kept {DAEMON}; umount {PLACE}", check=False)

    def detach_solo(self, node: Node, limit: float = 20) -> None:
        """The daemon of solo() lets the volume go, once; who waits for it may have it again at once."""
        before = self.status(node)["detaches"]

        def gone() -> bool:
            now = self.status(node)
            return now["detaches"] != before and now["state"] != "detaching"

        node.run("kill -USR1 $(pidof mxfsd_solo)")
        self.until(gone, limit, "the volume to be let go")

    # ---- the kernel log

    def mark(self, node: Node) -> str:
        """A line in the kernel log to look behind of."""
        self._marks += 1
        text = f"lab-mark-{self._marks}"
        node.run(f"echo {text} >/dev/kmsg", timeout=20)
        return text

    def kernel_log(self, node: Node, mark: str) -> str:
        return node.run(f"dmesg | sed '1,/{mark}$/d'", timeout=20).out

    # ---- programs that stay

    def keeper(self, node: Node, command: str = f"{PROGRAMS}/keeper") -> "Keeper":
        keeper = Keeper(self, node, command)
        self.same(keeper.line(60), "ready", "keeper")
        return keeper

    def start(self, node: Node, command: str) -> "Program":
        return Program(self, node, command)

    def close_programs(self) -> None:
        for program in self._open:
            program.close()
        self._open.clear()


class Program:
    """A command that runs on a node beside the script; ended with it."""

    def __init__(self, stage: Stage, node: Node, command: str):
        self.node, self.command = node, command
        self.process = subprocess.Popen(node.command_line(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=ssh.environment())
        self._rest = b""
        stage._open.append(self)

    def line(self, limit: float) -> str:
        """The next line it prints."""
        end = time.monotonic() + limit * self.node.slowness
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimedOut(f"{self.node.name}: '{self.command}' said nothing for {limit:.0f} s")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise CheckFailed(f"{self.node.name}: '{self.command}' ended: {self._rest.decode(errors='replace')}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    def tell(self, text: str) -> None:
        """A line to read."""
        self.process.stdin.write((text + "\n").encode())
        self.process.stdin.flush()

    def finish(self, limit: float) -> Result:
        """Waits for its end; what it printed."""
        try:
            out, _ = self.process.communicate(timeout=limit * self.node.slowness)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"{self.node.name}: '{self.command}' did not end within {limit:.0f} s") from None
        text = (self._rest + out).decode(errors="replace")
        if self.process.returncode == 255:  # what ssh makes of a signal
            text += "(ended by a signal, or the connection was lost)"
        return Result(self.process.returncode, text, "")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Keeper(Program):
    """tests/c/keeper on a node: holds files, maps and a working directory open, and works on them on command."""

    def say(self, text: str, limit: float = 30) -> str:
        self.tell(text)
        return self.line(limit)

    def ok(self, text: str, limit: float = 30) -> str:
        answer = self.say(text, limit)
        if not answer.startswith("ok"):
            raise CheckFailed(f"{self.node.name}: keeper: '{text}': {answer}")
        return answer[3:]

    def fails(self, text: str, expected: str, limit: float = 30) -> None:
        answer = self.say(text, limit)
        if answer != expected:
            raise CheckFailed(f"{self.node.name}: keeper: '{text}': {answer}, expected {expected}")
