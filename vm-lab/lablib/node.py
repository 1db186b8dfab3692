# SPDX-License-Identifier: Apache-2.0
"""One machine of a lab: a QEMU, its console log, and the ways to act on it."""

import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import accel, host, network, proc, qmp, ssh
from .errors import CheckFailed, LabError, NodeUnreachable, NotRunning, TimedOut

if TYPE_CHECKING:
    from .lab import Lab

BOOT_LIMIT = 180.0

# A slow emulated machine is not a hung one, and every complaint must reach the console.
COMMAND_LINE = ("console=ttyS0 loglevel=6 mxfs.node={number} nokaslr mitigations=off random.trust_cpu=on "
                "panic=0 watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout={patience} no_timer_check tsc=reliable "
                "sysctl.kernel.hung_task_timeout_secs={patience} sysctl.kernel.hung_task_warnings=100 "
                "sysctl.kernel.panic_on_oops=0 sysctl.kernel.sysrq=1 "
                # As Debian's kernel is built; one built from few options refuses a mount of a device that is open for writing.
                "bdev_allow_write_mounted=1 {extra}")


@dataclass(frozen=True)
class Result:
    """What a command on a node did."""

    rc: int
    out: str
    err: str


class Node:
    def __init__(self, lab: "Lab", number: int):
        self.lab = lab
        self.number = number
        self.name = f"node{number}"
        self.folder = lab.folder / self.name
        self.boot_seconds: float | None = None

    # ---- where things are

    @property
    def pid_file(self) -> Path:
        return self.folder / "qemu.pid"

    @property
    def console_log(self) -> Path:
        return self.folder / "console.log"

    @property
    def console_socket(self) -> Path:
        return self.lab.sockets / f"{self.name}.con"

    @property
    def _qmp_socket(self) -> Path:
        return self.lab.sockets / f"{self.name}.qmp"

    @property
    def address(self) -> str:
        """Its address on the private network."""
        return f"10.66.0.{self.number}"

    @property
    def connection(self) -> ssh.Connection:
        return ssh.Connection(self.folder, self.lab.sockets, self.name, self._state().get("ssh_port", 0), self.lab.image)

    def _state(self) -> dict:
        try:
            return json.loads((self.folder / "node.json").read_text())
        except FileNotFoundError:
            return {}

    @property
    def slowness(self) -> float:
        """What time limits are multiplied with: the debug kernel takes its time."""
        return self.lab.image.slowness

    @property
    def running(self) -> bool:
        return proc.alive(self.pid_file) is not None

    @property
    def state(self) -> str:
        """running, paused, off, or what QEMU calls it (internal-error, guest-panicked, ...)."""
        if not self.running:
            return "off"
        return self.qmp("query-status")["status"]

    # ---- power

    def start(self, wait: bool = True) -> None:
        """Boots the node; returns when commands can be run on it."""
        if self.running:
            raise LabError(f"{self.name} runs already")
        self.folder.mkdir(exist_ok=True)
        began = time.monotonic()
        for left in (self._qmp_socket, self.console_socket):
            left.unlink(missing_ok=True)
        offset = self.console_log.stat().st_size if self.console_log.exists() else 0
        log = self.folder / "qemu.log"
        proc.spawn(self._command(), self.pid_file, log, self.lab.guarded)
        ended = lambda: None if self.running else f"QEMU ended: {log.read_text(errors='replace').strip()[-600:]}"
        proc.wait_until(lambda: qmp.listens(self._qmp_socket), 20, f"QEMU of {self.name}", gone=ended)
        usernet = proc.wait_until(lambda: self._monitor("info usernet"), 20, f"QEMU of {self.name}", gone=ended)
        state = {"ssh_port": network.user_forward_port(usernet), "offset": offset}
        (self.folder / "node.json").write_text(json.dumps(state))
        if wait:
            self.wait_up(BOOT_LIMIT - (time.monotonic() - began) / self.slowness)
            self.boot_seconds = time.monotonic() - began

    def wait_up(self, limit: float = BOOT_LIMIT) -> None:
        """Waits until the booting node takes commands."""
        offset = self._state()["offset"]

        def gone() -> str | None:
            text = self.console(offset)
            if failed := re.search(r"mxfs-lab: boot failed:.*|Kernel panic.*", text):
                return f"{failed[0].strip()} (console log: {self.console_log})"
            return None if self.running else f"QEMU ended (console log: {self.console_log})"

        proc.wait_until(lambda: re.search(rf"mxfs-lab: {self.name} up", self.console(offset)), limit * self.slowness,
                        f"{self.name} to boot (console log: {self.console_log})", every=0.05, gone=gone)
        self.connection.open(self.lab.guarded, gone)

    def kill(self) -> None:
        """Power off at once: nothing is flushed, nobody is told."""
        if not self.running:
            raise NotRunning(f"{self.name} is off already", f"lab start {self.name}")
        proc.end(self.pid_file)
        self.connection.close()

    def stop(self) -> None:
        """Like kill, and no error when it is off already."""
        proc.end(self.pid_file)
        if self.folder.exists():
            self.connection.close()

    def pause(self) -> None:
        """Freezes the machine; for it no time passes until resume."""
        self.qmp("stop")

    def resume(self) -> None:
        self.qmp("cont")

    def link(self, on: bool) -> None:
        """Plugs the private network in or out (ssh goes another way and stays)."""
        self.qmp("set_link", name="lan", up=on)

    def qmp(self, command: str, **arguments):
        if not self.running:
            raise NotRunning(f"{self.name} is off", f"lab start {self.name}")
        return qmp.command(self._qmp_socket, command, arguments)

    def _monitor(self, line: str) -> str:
        return self.qmp("human-monitor-command", **{"command-line": line})

    # ---- what it says

    def console(self, offset: int = 0) -> str:
        """The console's text since the lab was made, or since a byte offset."""
        try:
            with open(self.console_log, "rb") as log:
                log.seek(offset)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def console_size(self) -> int:
        """An offset for console() and wait_console(): what comes after now."""
        return self.console_log.stat().st_size if self.console_log.exists() else 0

    def wait_console(self, pattern: str, limit: float, offset: int = 0) -> re.Match:
        """Waits for a line on the console."""
        return proc.wait_until(lambda: re.search(pattern, self.console(offset)), limit * self.slowness,
                               f"'{pattern}' on the console of {self.name} ({self.console_log})", every=0.05)

    # ---- commands

    def run(self, command: str, check: bool = True, timeout: float | None = 120.0, input: str | bytes | None = None,
            echo: bool = False) -> Result:
        """Runs one line of shell as root on the node.

        `timeout` (longer where the kernel is slow) ends the command on the node itself and raises TimedOut. With check, a status other than 0
        raises CheckFailed that carries the command's output. `echo` passes the output on while it comes.
        """
        if timeout is not None:
            timeout *= self.slowness
        argv = self.command_line(command, timeout)
        data = input.encode() if isinstance(input, str) else input
        if echo:
            return self._run_echoing(argv, command, data, check, timeout)
        try:
            done = subprocess.run(argv, input=data if data is not None else b"", stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=None if timeout is None else timeout + 20,
                                  env=ssh.environment())
        except subprocess.TimeoutExpired as error:
            raise TimedOut(f"{self.name}: no answer {timeout + 20:.0f} s after '{_short(command)}' was started; said so "
                           f"far: {(error.stdout or b'').decode(errors='replace')[-400:]!r}",
                           f"is it paused or hung? {self.console_log}") from None
        return self._judge(command, Result(done.returncode, done.stdout.decode(errors="replace"),
                                           done.stderr.decode(errors="replace")), check, timeout)

    def command_line(self, command: str | None, timeout: float | None = None, tty: bool = False) -> list[str]:
        """The host command that runs a line on the node, for callers with pipes of their own."""
        if not self.running:
            raise NotRunning(f"{self.name} is off", f"lab start {self.name}")
        if timeout is not None and command is not None:
            command = f"timeout -k 5 {timeout:g} bash -c {_quote(command)}"
        return self.connection.argv(command, tty)

    def _run_echoing(self, argv, command, data, check, timeout) -> Result:
        import sys
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=ssh.environment())
        parts: dict[str, list[bytes]] = {"out": [], "err": []}

        def pump(stream, name, screen):
            for line in stream:
                parts[name].append(line)
                screen.write(line.decode(errors="replace"))
                screen.flush()

        pumps = [threading.Thread(target=pump, args=(process.stdout, "out", sys.stdout)),
                 threading.Thread(target=pump, args=(process.stderr, "err", sys.stderr))]
        for thread in pumps:
            thread.start()
        try:
            if data:
                process.stdin.write(data)
            process.stdin.close()
            process.wait(None if timeout is None else timeout + 20)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"{self.name}: no answer {timeout + 20:.0f} s after '{_short(command)}' was started",
                           f"is it paused or hung? {self.console_log}") from None
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            for thread in pumps:
                thread.join()
        text = {name: b"".join(lines).decode(errors="replace") for name, lines in parts.items()}
        return self._judge(command, Result(process.returncode, text["out"], text["err"]), check, timeout)

    def _judge(self, command: str, result: Result, check: bool, timeout: float | None) -> Result:
        if result.rc == 255 and (not self.running or not result.out and _ssh_complaint(result.err)):
            raise self.connection.unreachable(result.err.strip() or "QEMU ended")
        if result.rc in (124, 137) and timeout is not None and check:
            raise TimedOut(f"{self.name}: '{_short(command)}' did not end within {timeout:.0f} s; it said:\n"
                           f"{(result.out + result.err)[-1000:]}", str(self.console_log))
        if check and result.rc:
            raise CheckFailed(f"{self.name}: '{_short(command)}' ended with status {result.rc}:\n"
                              f"{(result.out + result.err).strip()[-2000:]}")
        return result

    def push(self, source: Path, place: str) -> None:
        """Copies a file or folder to the node, modes and times included; `place` is the new name, or ends in '/'."""
        source = Path(source)
        if not source.exists():
            raise LabError(f"{source}: no such file", "name a file or folder of the host")
        target = place + source.name if place.endswith("/") else place
        parent = os.path.dirname(target) or "."
        script = (f"mkdir -p {_quote(parent)} && t=$(mktemp -d {_quote(parent)}/.pushXXXXXX) && tar -xpf - -C \"$t\" && "
                  f"rm -rf {_quote(target)} && mv -T \"$t\"/{_quote(source.name)} {_quote(target)} && rmdir \"$t\"")
        tar = ["tar", "-C", str(source.parent), "--owner=0", "--group=0", "-cf", "-", source.name]
        self._pipe(tar, self.command_line(script), f"push {source} to {self.name}:{place}")

    def pull(self, source: str, place: Path) -> None:
        """Copies a file or folder from the node to the host."""
        place = Path(place)
        target = place / os.path.basename(source) if place.is_dir() else place
        base = os.path.basename(source.rstrip("/"))
        parent = os.path.dirname(source.rstrip("/")) or "."
        if target.name != base:
            target.parent.mkdir(parents=True, exist_ok=True)
        tar = ["tar", "-C", str(target.parent), "--no-same-owner", "--transform", f"s,^{re.escape(base)},{target.name},",
               "-xpf", "-"]
        self._pipe(self.command_line(f"tar -C {_quote(parent)} -cf - {_quote(base)}"), tar,
                   f"pull {self.name}:{source} to {place}")

    def _pipe(self, left: list[str], right: list[str], what: str) -> None:
        first = subprocess.Popen(left, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=ssh.environment())
        second = subprocess.Popen(right, stdin=first.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  env=ssh.environment())
        first.stdout.close()
        second_says = second.communicate()[1]
        first_says = first.stderr.read()
        first.stderr.close()
        if first.wait() or second.returncode:
            raise CheckFailed(f"{what} failed: {(first_says + second_says).decode(errors='replace').strip()[-600:]}")

    # ---- QEMU

    def _command(self) -> list[str]:
        lab, number = self.lab, self.number
        cpus = "1,maxcpus=2" if lab.cpus == 1 else str(lab.cpus)  # plain 1 loses virtio kicks under QEMU 7.2's TCG
        command = [
            host.tool("qemu-system-x86_64"), "-name", f"mxfs-lab-{lab.name}-{self.name}", *accel.machine(),
            *accel.arguments(lab.accel), "-smp", cpus, "-m", str(lab.memory), "-no-reboot",
            "-kernel", str(lab.image.kernel), "-initrd", str(lab.image.initrd),
            "-append", COMMAND_LINE.format(number=number, patience=round(60 * lab.image.slowness), extra=f"{accel.kernel_arguments(lab.accel)} {lab.kernel_arguments}").strip(),
            "-chardev", f"socket,id=con,path={self.console_socket},server=on,wait=off,"
                        f"logfile={self.console_log},logappend=on",
            "-serial", "chardev:con", "-monitor", "none",
            "-qmp", f"unix:{self._qmp_socket},server=on,wait=off",
            "-device", "virtio-rng-pci",
            *accel.disk("mxfs-root", lab.image.root),
            *(accel.disk("mxfs-dist", lab.dist_image) if lab.dist_image else []),
            # The shared disks. cache.direct: no cache of QEMU's own between the nodes and the target.
            "-device", "virtio-scsi-pci,id=scsi0,num_queues=1",
            *[word for lun in range(1, lab.disks + 1) for word in (
                "-blockdev", f"driver=iscsi,node-name=shared{lun},transport=tcp,portal=127.0.0.1:{lab.target.port},"
                             f"target={lab.target.name},lun={lun},initiator-name={self.initiator},cache.direct=on",
                "-device", f"scsi-block,drive=shared{lun},bus=scsi0.0,channel=0,scsi-id={lun - 1},lun=0,share-rw=on")],
            "-netdev", "user,id=mgmt,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22",
            "-device", f"virtio-net-pci,netdev=mgmt,mac=52:54:00:66:aa:{number:02x},romfile=",
            "-netdev", f"vde,id=lanback,sock={lab.switch.plug}",
            "-device", f"virtio-net-pci,netdev=lanback,id=lan,mac=52:54:00:66:bb:{number:02x},romfile=",
            "-fsdev", f"local,id=host,path={lab.share},security_model=none,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        ]
        return command

    @property
    def initiator(self) -> str:
        return f"iqn.2026-11.lab.mxfs:{self.name}"


def _quote(text: str) -> str:
    import shlex
    return shlex.quote(text)


def _short(command: str) -> str:
    return command if len(command) < 200 else command[:200] + "..."


def _ssh_complaint(said: str) -> bool:
    """ssh's own words; a command that itself ends with 255 says something else."""
    return bool(re.search(r"^(ssh:|kex_exchange|Connection (closed|reset|refused)|mux_client|client_loop:|ssh_exchange|"
                          r"Host key verification|root@127\.0\.0\.1: Permission denied|Timeout, server)", said.strip(), re.M))


__all__ = ["Node", "NodeUnreachable", "Result"]
