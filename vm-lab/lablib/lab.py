# SPDX-License-Identifier: Apache-2.0
"""A lab: target, switch and nodes under one name, and what becomes of them when a command is interrupted.

Who holds the lab's lock file is making, changing or (an ephemeral lab) using it. A lab that is not in phase
"up" and whose lock nobody holds was left behind by a command that died: any later command ends its processes
and removes it.
"""

import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import accel, host, image, kernel as kernels, network, proc, progress, scan as scanner, target
from .errors import CheckFailed, LabError, NotRunning
from .node import Node, Result

MAX_NODES = 63


def default_name() -> str:
    """One lab a checkout, unless --name or MXFS_LAB says otherwise."""
    return os.environ.get("MXFS_LAB") or f"{re.sub('[^a-z0-9]+', '-', host.CHECKOUT.name.lower()).strip('-')}-" \
                                         f"{host.digest(str(host.CHECKOUT))[:6]}"


def labs_folder() -> Path:
    folder = host.cache() / "labs"
    folder.mkdir(exist_ok=True)
    return folder


def logs_folder(name: str) -> Path:
    """Where the logs of a lab stay after it went down."""
    return host.cache() / "logs" / name


class Lab:
    def __init__(self, name: str):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", name):
            raise LabError(f"'{name}' is no name for a lab", "letters, digits, '.', '_', '-'; at most 41")
        self.name = name
        self.folder = labs_folder() / name
        self.guarded = False
        self.nodes: list[Node] = []
        self._lock = None
        self._description: dict = {}

    # ---- making

    @classmethod
    def up(cls, name: str, nodes: int, memory: int | None = None, disk_size: int = 10 << 30, sector_size: int = 512,
           cpus: int = 1, accelerator: str | None = None, dist: Path | None = None, kernel_arguments: str = "",
           guarded: bool = False, disks: int = 1, kernel: str | None = None) -> "Lab":
        """Makes a lab and boots its nodes; nothing stays behind when that fails."""
        if not 1 <= nodes <= MAX_NODES:
            raise LabError(f"{nodes} nodes: a lab has 1 to {MAX_NODES}")
        host.install_packages()
        clean_up_interrupted()
        made_image = kernels.ensure(kernel)
        chosen = accel.choose(image.ensure(), accelerator)
        lab = cls(name)
        if not lab._try_lock():
            raise LabError(f"lab '{name}' is being worked on by another command", "wait for it, or use another --name")
        if lab.folder.exists():
            lab._unlock()
            raise LabError(f"lab '{name}' is up already", f"'lab down --name {name}' first, or use another --name")
        lab.guarded = guarded
        lab.folder.mkdir(parents=True)
        sockets = tempfile.mkdtemp(prefix="mxfs-lab-", dir="/tmp")  # unix socket paths are limited to 107 bytes
        lab._description = {"phase": "starting", "boot": proc.boot_id(), "sockets": sockets, "nodes": nodes,
                            "memory": memory or made_image.default_memory, "disk_size": disk_size, "disks": disks, "sector_size": sector_size,
                            "cpus": cpus,
                            "accel": chosen, "image": made_image.folder.name, "dist": None, "port": 0,
                            "debug_kernel": made_image.kernel_folder.name if made_image.kind == "debug" else None,
                            "kernel_arguments": kernel_arguments, "checkout": str(host.CHECKOUT),
                            "made": time.strftime("%Y-%m-%d %H:%M:%S")}
        lab._save()
        try:
            lab.share.mkdir()
            if dist is not None or made_image.kind == "debug":
                lab._description["dist"] = str(lab._dist_image(Path(dist) if dist else None))
            lab._save()
            lab.target.start(disk_size, guarded)
            lab._description["port"] = lab.target.port
            lab._save()
            lab.switch.start(nodes + 8, guarded)
            lab.nodes = [Node(lab, number) for number in range(1, nodes + 1)]
            with progress.step(f"booting {nodes} node{'s' * (nodes > 1)} ({chosen.upper()})"):
                lab.in_parallel(Node.start)
            progress.say("up: " + ", ".join(f"{node.name} in {node.boot_seconds:.1f} s" for node in lab.nodes))
            if not guarded:
                lab._description["phase"] = "up"
                lab._save()
        except BaseException:
            lab._remove()
            raise
        if not guarded:
            lab._unlock()
        return lab

    @classmethod
    def ephemeral(cls, purpose: str, nodes: int, **options) -> "Lab":
        """A lab for one script, to be used with `with`: its processes die with this one, however it ends."""
        return cls.up(f"{default_name()[:24]}.{purpose[:8]}.{os.getpid()}", nodes, guarded=True, **options)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_) -> None:
        self.down()

    @classmethod
    def open(cls, name: str | None = None) -> "Lab":
        """A lab that is up."""
        lab = cls(name or default_name())
        lab._load()
        if lab._description.get("phase") != "up":
            raise NotRunning(f"lab '{lab.name}' is not up (it is {lab._description.get('phase')})", "wait, or 'lab down'")
        return lab

    def _load(self) -> None:
        try:
            self._description = json.loads((self.folder / "lab.json").read_text())
        except FileNotFoundError:
            raise NotRunning(f"no lab '{self.name}' is up", "'lab up 2' makes one; 'lab status --all' shows all") from None
        self.nodes = [Node(self, number) for number in range(1, self._description["nodes"] + 1)]

    def _save(self) -> None:
        file = self.folder / "lab.json"
        new = file.with_suffix(".new")
        new.write_text(json.dumps(self._description, indent=1) + "\n")
        new.rename(file)

    # ---- parts

    @property
    def image(self) -> image.Image:
        return kernels.find(host.cache() / "images" / self._description["image"], self._description.get("debug_kernel"))

    @property
    def sockets(self) -> Path:
        return Path(self._description["sockets"])

    @property
    def share(self) -> Path:
        """The folder that every node sees as /host."""
        return self.folder / "share"

    @property
    def target(self) -> target.Target:
        if not hasattr(self, "_target"):
            self._target = target.Target(self.folder, self.sockets, self._description["port"],
                                         self._description["sector_size"], self.disks)
        return self._target

    @property
    def switch(self) -> network.Switch:
        return network.Switch(self.folder, self.sockets)

    @property
    def disks(self) -> int:
        """Shared disks: /dev/sda, /dev/sdb, ... on every node."""
        return self._description.get("disks", 1)

    @property
    def memory(self) -> int:
        return self._description["memory"]

    @property
    def cpus(self) -> int:
        return self._description["cpus"]

    @property
    def accel(self) -> str:
        return self._description["accel"]

    @property
    def kernel_arguments(self) -> str:
        return self._description["kernel_arguments"]

    @property
    def dist_image(self) -> Path | None:
        return Path(self._description["dist"]) if self._description["dist"] else None

    def _dist_image(self, dist: Path | None) -> Path:
        """The install tree as a second read-only layer of the nodes' root."""
        from . import build
        return build.dist_image(dist, self.folder / "dist.erofs", self.image)

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if name in (node.name, str(node.number)):
                return node
        raise NotRunning(f"lab '{self.name}' has no node '{name}'", f"its nodes: {', '.join(n.name for n in self.nodes)}")

    # ---- acting on all nodes

    def in_parallel(self, action, nodes: list[Node] | None = None) -> list:
        """action(node) for all nodes at once; results in the nodes' order. The first failure is raised when all have ended."""
        chosen = self.nodes if nodes is None else nodes
        with ThreadPoolExecutor(max(1, len(chosen))) as pool:
            futures = [pool.submit(action, node) for node in chosen]
        return [future.result() for future in futures]

    def on_all(self, command: str, **options) -> list[Result]:
        """One command on all nodes at once."""
        return self.in_parallel(lambda node: node.run(command, **options))

    def scan(self, expected: list[str] = ()) -> None:
        """Raises CheckFailed with an excerpt when a console shows a kernel complaint."""
        found = [complaint for node in self.nodes if node.console_log.exists()
                 for complaint in scanner.scan(node.console_log, list(expected))]
        if found:
            raise CheckFailed("kernel complaints on the console:\n" + "\n".join(map(str, found)))

    def status(self) -> dict:
        return {"name": self.name, **{name: self._description[name] for name in
                                      ("phase", "accel", "memory", "cpus", "image", "dist", "made", "checkout")},
                "kernel": self.image.kernel_version, "share": str(self.share), "disk": self.disk(),
                "nodes": [{"name": node.name, "state": node.state, "address": node.address,
                           "ssh_port": node.connection.port, "pid": proc.alive(node.pid_file),
                           "console_log": str(node.console_log)} for node in self.nodes]}

    def disk(self) -> dict:
        backing = self.target.backing
        stat = backing.stat() if backing.exists() else None
        return {"file": str(backing), "size": self._description["disk_size"], "used": stat.st_blocks * 512 if stat else 0,
                "sector_size": self._description["sector_size"], "in_node": "/dev/sda",
                "portal": f"127.0.0.1:{self._description['port']}", "target": self.target.name, "lun": 1,
                "target_running": proc.alive(self.target.pid_file) is not None}

    def add_node(self) -> Node:
        """One more node, booted now."""
        node = Node(self, len(self.nodes) + 1)
        self._description["nodes"] = node.number
        self._save()
        self.nodes.append(node)
        node.start()
        return node

    # ---- unmaking

    def down(self) -> None:
        """Ends everything and removes everything but the logs."""
        if self._lock is None and not self._try_lock():
            raise LabError(f"lab '{self.name}' is being worked on by another command", "wait for it to end")
        if not self.folder.exists():
            self._unlock()
            raise NotRunning(f"no lab '{self.name}' is up")
        self._remove()

    def _remove(self) -> None:
        if not self._description:
            try:
                self._load()
            except NotRunning:
                self._description = {}
        if self._description:
            self._description["phase"] = "stopping"
            self._save()
        # Without a description (killed before its first save) pid files cannot exist yet.
        for pid_file in [*sorted(self.folder.glob("node*/qemu.pid")), *sorted(self.folder.glob("node*/ssh.pid")),
                         self.folder / "vde.pid", self.folder / "tgtd.pid"]:
            proc.end(pid_file)
        logs = logs_folder(self.name)
        shutil.rmtree(logs, ignore_errors=True)
        for log in [*self.folder.glob("*.log"), *self.folder.glob("node*/*.log")]:
            kept = logs / log.relative_to(self.folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(log, kept)
        for kept in self.share.glob(".nodes/*"):  # what guest/rc keeps on the host: system log, daemon's logs
            for log in [*kept.glob("messages*"), *kept.glob("log-mxfs/*")]:
                (logs / kept.name).mkdir(parents=True, exist_ok=True)
                shutil.move(log, logs / kept.name / log.name)
        if self._description:
            shutil.rmtree(self._description["sockets"], ignore_errors=True)
        shutil.rmtree(self.folder)
        self._unlock()

    # ---- the lock

    def _try_lock(self) -> bool:
        handle = open(labs_folder() / f"{self.name}.lock", "w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return False
        # The holder before us may have removed the file: a lock on a nameless file excludes nobody.
        try:
            same = os.fstat(handle.fileno()).st_ino == os.stat(handle.name).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            handle.close()
            return self._try_lock()
        self._lock = handle
        return True

    def _unlock(self) -> None:
        if self._lock is not None:
            if not self.folder.exists():
                os.unlink(self._lock.name)
            self._lock.close()
            self._lock = None


def all_labs() -> list[Lab]:
    labs = []
    for folder in sorted(labs_folder().iterdir()):
        if folder.is_dir():
            lab = Lab(folder.name)
            try:
                lab._load()
            except NotRunning:
                continue
            labs.append(lab)
    return labs


def clean_up_interrupted() -> list[str]:
    """Removes labs whose making or using command died, and labs of an earlier boot of this machine."""
    gone = []
    for folder in sorted(labs_folder().iterdir()):
        if not folder.is_dir():
            continue
        lab = Lab(folder.name)
        if not lab._try_lock():
            continue
        try:
            lab._load()
            healthy = lab._description["phase"] == "up" and lab._description["boot"] == proc.boot_id()
        except NotRunning:
            healthy = False
        if healthy:
            lab._unlock()
        else:
            progress.say(f"cleaning up lab '{lab.name}': the command that was using it died")
            lab._remove()
            gone.append(lab.name)
    return gone
