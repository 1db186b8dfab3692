# SPDX-License-Identifier: Apache-2.0
"""A daemon that is missing, not executable, crashes at the start, is silent, or is killed with the mount: the mount fails in bounded time
with the errno that fits and a message to act on, and nothing of it stays."""

import time

from lablib.protocol import PLACE, PROGRAMS, DEVICE

LIMIT = 120
MARKERS = ["SELFTEST: bad daemon ok"]
EXPECTED = []
DAEMON = "/usr/sbin/mxfsd"


def run(stage):
    node = stage.n1
    stage.mkfs()
    node.run(f"mv {DAEMON} {DAEMON}.kept")
    try:
        _expect(stage, "rm -f %s" % DAEMON, "ENOENT", "cannot be started.*package", "missing")
        _expect(stage, f"echo '#!/bin/sh' >{DAEMON}; chmod 644 {DAEMON}", "EACCES", "cannot be started", "not executable")
        _expect(stage, f"head -c 4096 /dev/urandom >{DAEMON}; chmod 755 {DAEMON}", "ENOEXEC", "cannot be started", "no program")
        _expect(stage, f"printf '#!/bin/sh\\nexit 3\\n' >{DAEMON}; chmod 755 {DAEMON}", "EIO", "ended before it was ready", "crashing")
        _expect(stage, f"printf '#!/bin/sh\\nkill -SEGV $$\\n' >{DAEMON}; chmod 755 {DAEMON}", "EIO", "ended before it was ready",
                "killed by a signal")
        began = time.monotonic()
        silent = f"printf '#!/bin/sh\\nexec sleep 1000\\n' >{DAEMON}; chmod 755 {DAEMON}"
        _expect(stage, silent, "ETIMEDOUT", "not ready within 1500 ms.*never said hello", "silent", "ready_ms=1500")
        stage.check(time.monotonic() - began < 15 * stage.slowness, f"a silent daemon with ready_ms=1500 took {time.monotonic() - began:.1f} s")
        # A mount that is killed while it waits takes the daemon with it.
        program = stage.start(node, f"{PROGRAMS}/try_mount mxfs {DEVICE} {PLACE}")
        stage.until(lambda: node.run("pgrep -fx 'sleep 1000'", check=False).out, 20, "the silent daemon to run")
        node.run("kill -KILL $(pidof try_mount)")
        program.finish(20)
        stage.until(lambda: not node.run("pgrep -fx 'sleep 1000'", check=False).out, 20, "the daemon to be gone with its mount")
        stage.same(stage.leftovers(node), [], "after a killed mount")
    finally:
        node.run(f"mv -f {DAEMON}.kept {DAEMON}")
    # And with the right one all is well.
    stage.mount(node)
    stage.umount(node)
    stage.marker("SELFTEST: bad daemon ok")


def _expect(stage, make, errno, pattern, what, *options):
    stage.n1.run(make)
    stage.refused(stage.n1, errno, pattern, *options, what=f"mount with a daemon that is {what}", log=pattern)
    stage.same(stage.leftovers(stage.n1), [], f"after a daemon that is {what}")
    stage.check(not stage.n1.run("pgrep -fx 'sleep 1000'", check=False).out, f"the daemon that is {what} is still there")
    stage.same(stage.keys(stage.n1), [], f"keys after a daemon that is {what}")
