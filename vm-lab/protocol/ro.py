# SPDX-License-Identifier: Apache-2.0
"""Read-only mounts: what another node wrote is read, before and after the mount, and every kind of write is EROFS."""

from lablib.protocol import PROGRAMS

LIMIT = 120
MARKERS = ["SELFTEST: read-only mounts ok"]
EXPECTED = []
WRITES = ("echo x >/mnt/shared/new", "echo x >>/mnt/shared/f", "mkdir /mnt/shared/nd", "rm /mnt/shared/f", "mv /mnt/shared/f /mnt/shared/g",
          "ln /mnt/shared/f /mnt/shared/h", "chmod 600 /mnt/shared/f", "touch /mnt/shared/f", "truncate -s 0 /mnt/shared/f",
          "setfattr -n user.x -v y /mnt/shared/f", "ln -s f /mnt/shared/s", "mkfifo /mnt/shared/p", "rmdir /mnt/shared/d",
          "fallocate -l 8192 /mnt/shared/f", "chattr +i /mnt/shared/f", "chown 5 /mnt/shared/f")


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    # Alone, of a volume that mxfs never saw.
    stage.mount(n1, "ro")
    stage.matches(r" mxfs ro[, ]", n1.run("cat /proc/mounts").out, "/proc/mounts")
    stage.same(n1.run("ls -A /mnt/shared").out, "", "an empty volume")
    _refuses(stage, n1, "touch /mnt/shared/new")
    stage.umount(n1)

    stage.mount(n1)
    n1.run("cd /mnt/shared && head -c 300000 /dev/urandom >f && mkdir d && echo one >d/one")
    stage.mount(n2, "ro")
    stage.same(n2.run("sha256sum </mnt/shared/f; cat /mnt/shared/d/one").out, n1.run("sha256sum </mnt/shared/f; cat /mnt/shared/d/one").out,
               "what the other node wrote before the mount")
    for command in WRITES:
        _refuses(stage, n2, command)
    keeper = stage.keeper(n2)
    keeper.fails("open 1 /mnt/shared/f +", "errno EROFS")
    keeper.ok("open 1 /mnt/shared/f r")
    keeper.ok("open 2 /mnt/shared/d/one r")
    # And what it writes afterwards, through files that stayed open.
    for round_ in range(3):
        n1.run(f"cd /mnt/shared && head -c {400000 + round_} /dev/urandom >f && echo round {round_} >d/r{round_} && "
               f"{PROGRAMS}/keeper <<'E' | grep -qv '^errno'\nopen 1 /mnt/shared/pattern +ct\nwrite 1 0 100000 {round_}\nE\n")
        stage.same(n2.run(f"sha256sum </mnt/shared/f; cat /mnt/shared/d/r{round_}").out,
                   n1.run(f"sha256sum </mnt/shared/f; cat /mnt/shared/d/r{round_}").out, f"what the other node wrote, round {round_}")
        stage.same(keeper.ok("size 1"), str(400000 + round_), "size through a file that stayed open")
        keeper.ok("open 3 /mnt/shared/pattern r")
        keeper.ok(f"check 3 0 100000 {round_}")
        keeper.ok("close 3")
    stage.same(n1.run("cat /mnt/shared/d/one").out, "one\n", "after all the refused writes")
    keeper.close()
    _becomes_writable(stage, n1, n2)
    _label(stage, n1)
    stage.umount(n2)
    stage.umount(n1)
    stage.repair()
    stage.marker("SELFTEST: read-only mounts ok")


def _becomes_writable(stage, n1, n2):
    """remount,rw of a mount that began read-only, where it is the owner and where it is not, and with a map through which XFS was read."""
    for owns in (True, False):
        n2.run(f"umount /mnt/shared && {stage.mount_command('ro')} /dev/sda /mnt/shared")
        keeper = stage.keeper(n2)
        keeper.ok("open 1 /mnt/shared/f r")
        keeper.ok("map 1 4096")
        keeper.ok("touch 1 0")
        if not owns:
            n1.run("echo n1 >>/mnt/shared/d/one")
            stage.until(lambda: stage.status(n2)["state"] == "detached", 20, "the other node owns the volume")
        n2.run(f"mount -o remount,rw /mnt/shared && echo rw {owns} >>/mnt/shared/d/one && echo page >/mnt/shared/m && sync")
        stage.matches(r" mxfs rw[, ]", n2.run("cat /proc/mounts").out, "/proc/mounts")
        stage.same(n1.run("tail -n 1 /mnt/shared/d/one; cat /mnt/shared/m").out, f"rw {owns}\npage\n", "what was written after remount,rw")
        # The file that was mapped while nothing could be written is mapped for writing.
        keeper.ok("close 1")
        keeper.ok("open 2 /mnt/shared/f +")
        keeper.ok("map 2 4096")
        keeper.ok(f"store 2 100 50 {7 + owns}")
        other = stage.keeper(n1)
        other.ok("open 1 /mnt/shared/f r")
        other.ok(f"check 1 100 50 {7 + owns}")
        other.close()
        keeper.close()
        n2.run("mount -o remount,ro /mnt/shared && ! touch /mnt/shared/new 2>/dev/null && mount -o remount,rw /mnt/shared && touch /mnt/shared/new")


def _refuses(stage, node, command):
    done = node.run(command, check=False)
    stage.check(done.rc != 0 and "Read-only file system" in done.err, f"{node.name}: '{command}' on a read-only mount: status {done.rc}, "
                f"{done.err.strip()!r}")


def _label(stage, node):
    """Of a mount that has become read-only, and of a place that is: XFS below is mounted for writing."""
    label = "xfs_io -r -c 'label -s {}' {}"
    node.run("mkdir -p /mnt/bound && mount --bind /mnt/shared /mnt/bound && mount -o remount,bind,ro /mnt/bound")
    stage.matches("Read-only file system", _fails(node, label.format("bound", "/mnt/bound")), "a label set through a read-only bind")
    node.run("umount /mnt/bound && mount -o remount,ro /mnt/shared")
    stage.matches("Read-only file system", _fails(node, label.format("late", "/mnt/shared")), "a label set on a mount that has become read-only")
    node.run("mount -o remount,rw /mnt/shared")
    node.run(label.format("works", "/mnt/shared"))
    stage.matches('"works"', node.run("xfs_io -r -c label /mnt/shared").out, "the label")


def _fails(node, command):
    done = node.run(command, check=False)
    return done.out + done.err
