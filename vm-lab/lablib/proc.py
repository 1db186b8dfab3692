# SPDX-License-Identifier: Apache-2.0
"""Processes that live longer than the command that started them, and their safe end.

A process writes its own /proc/PID/stat into its pid file before it becomes the program, so there is no
moment at which it runs unrecorded. Process id, start time and boot id together name it for good: a number
that the kernel has given to somebody else since is never signalled.
"""

import os
import queue
import select
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable

from .errors import LabError, TimedOut

# The shell's own read and printf, no fork: /proc/$$ is the very process that exec turns into the program,
# and its start time stays.
_RECORD = 'read -r s </proc/$$/stat; printf "%s\\n" "$s" >"$0"; if [ -p "$0.in" ]; then exec <>"$0.in"; fi; exec "$@"'


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(stat: str) -> int:
    # The name in parentheses may contain anything, so count from its end; the start time is field 22 (proc(5)).
    return int(stat.rpartition(")")[2].split()[19])


def _identity(pid_file: Path) -> tuple[int, int] | None:
    try:
        stat = pid_file.read_text()
        return int(stat.split(None, 1)[0]), _start_time(stat)
    except (FileNotFoundError, ValueError, IndexError):
        return None


def alive(pid_file: Path) -> int | None:
    """The process id when the recorded process still runs, else None."""
    identity = _identity(pid_file)
    if identity is None:
        return None
    pid, started = identity
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if _start_time(stat) != started or stat.rpartition(")")[2].split()[0] in "ZX":
        return None
    return pid


def end(pid_file: Path, grace: float = 0.0) -> None:
    """Ends the recorded process and returns when it is gone; `grace` seconds of SIGTERM before SIGKILL."""
    for sig, limit in ((signal.SIGTERM, grace), (signal.SIGKILL, 20.0)):
        if limit <= 0:
            continue
        pid = alive(pid_file)
        if pid is None:
            break
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            break
        try:
            # The pidfd pins the process: checked once more, the signal cannot hit a successor of the number.
            if alive(pid_file) != pid:
                break
            signal.pidfd_send_signal(handle, sig)
            if await_gone(handle, limit):
                break
        except ProcessLookupError:
            break
        finally:
            os.close(handle)
        if sig == signal.SIGKILL:
            raise TimedOut(f"process {pid} ({pid_file.name}) survived SIGKILL for {limit:.0f} s",
                           "it hangs in the kernel: see /proc/PID/stack")
    _reap_own()
    for file in (pid_file, Path(f"{pid_file}.in")):
        file.unlink(missing_ok=True)


def await_gone(handle: int, limit: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(int(limit * 1000)))


_children: list[subprocess.Popen] = []


def _reap_own() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


class _Spawner(threading.Thread):
    """The one thread that starts guarded processes.

    PR_SET_PDEATHSIG fires when the starting *thread* ends (prctl(2)), not the process; worker threads that
    start nodes come and go, so a thread of the process's own lifetime does it for them.
    """

    def __init__(self):
        super().__init__(name="spawner", daemon=True)
        self.orders: queue.SimpleQueue = queue.SimpleQueue()
        self.start()

    def run(self):
        while True:
            order, answer = self.orders.get()
            try:
                answer.put(order())
            except BaseException as error:  # handed to the caller, who raises it
                answer.put(error)

    def call(self, order: Callable[[], subprocess.Popen]) -> subprocess.Popen:
        answer: queue.SimpleQueue = queue.SimpleQueue()
        self.orders.put((order, answer))
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        return result


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def spawn(argv: list[str], pid_file: Path, log: Path, guarded: bool, env: dict[str, str] | None = None,
          endless_input: bool = False) -> None:
    """Starts a recorded process in its own session. A guarded one dies together with this process.

    `endless_input` is for programs that leave at the end of their input: they get a FIFO that they hold open
    for writing themselves, so that it never ends.
    """
    global _spawner
    pid_file.unlink(missing_ok=True)
    fifo = Path(f"{pid_file}.in")
    fifo.unlink(missing_ok=True)
    if endless_input:
        os.mkfifo(fifo)
    command = ["/bin/sh", "-c", _RECORD, str(pid_file), *argv]
    if guarded:
        command = ["setpriv", "--pdeathsig", "KILL", *command]

    def order() -> subprocess.Popen:
        with open(log, "ab") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    start_new_session=True, env={**os.environ, **(env or {})})

    with _spawner_lock:
        if _spawner is None:
            _spawner = _Spawner()
    child = _spawner.call(order)
    _children.append(child)
    wait_until(lambda: _identity(pid_file) is not None or child.poll() is not None, 10, f"{argv[0]} to be started")


def wait_until(true: Callable[[], object], limit: float, what: str, every: float = 0.02,
               gone: Callable[[], str | None] = lambda: None):
    """Asks until the answer is true; `gone` may say early why it never will be."""
    deadline = time.monotonic() + limit
    while True:
        result = true()
        if result:
            return result
        reason = gone()
        if reason:
            raise LabError(f"waiting for {what}: {reason}")
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {limit:.0f} s for {what}, in vain")
        time.sleep(every)
