# SPDX-License-Identifier: Apache-2.0
"""Who may do what is decided by attributes, flags and access control lists as the other node left them, also for what is open, held by
path or the working directory; a program whose memory never comes does not keep the volume from the other node; a loop device on a volume
with big sectors has big sectors."""

from lablib.protocol import PLACE, PROGRAMS, Keeper

LIMIT = 180
MARKERS = ["SELFTEST: attributes across nodes ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    _lists(stage, n1, n2)
    _flags(stage, n1, n2)
    _modes(stage, n1, n2)
    _memory_that_never_comes(stage, n1, n2)
    stage.umount(n1)
    stage.umount(n2)
    stage.repair()
    _big_sectors(stage, n1)
    stage.marker("SELFTEST: attributes across nodes ok")


def _as_user(stage, node):
    keeper = Keeper(stage, node, f"su user1 -s /bin/sh -c {PROGRAMS}/keeper")
    stage.same(keeper.line(60), "ready", "keeper of user1")
    return keeper


def _lists(stage, n1, n2):
    """An access control list that the other node changed is not kept beside attributes that are new, whatever renewed them."""
    # Another user stays in the list: without one, the mode alone would refuse.
    look = f"su user1 -s /bin/sh -c 'cat {PLACE}/acl/f'"
    n1.run(f"mkdir {PLACE}/acl && cd {PLACE}/acl && echo secret >f && chmod 600 f && setfacl -m u:user1:r,u:user2:r f")
    keeper = stage.keeper(n1)
    keeper.ok(f"open 1 {PLACE}/acl/f r")
    for renew in ("size 1", f"exists {PLACE}/acl/f", "check 1 0 0 0"):
        stage.same(n1.run(look).out, "secret\n", "what a user reads whom the list names")
        n2.run(f"setfacl -x u:user1 {PLACE}/acl/f")
        keeper.ok(renew)
        stage.check(n1.run(look, check=False).rc, f"after '{renew}' a user reads whom the list does not name any more")
        n2.run(f"setfacl -m u:user1:r {PLACE}/acl/f")
    # The list of a folder, which the VFS may look at without asking.
    n1.run(f"mkdir -m 700 {PLACE}/acl/d && echo in >{PLACE}/acl/d/f && setfacl -m u:user1:x,u:user2:x {PLACE}/acl/d")
    inside = f"su user1 -s /bin/sh -c 'cat {PLACE}/acl/d/f'"
    stage.same(n1.run(inside).out, "in\n", "what a user reads in a folder whose list names him")
    n2.run(f"setfacl -x u:user1 {PLACE}/acl/d")
    n1.run(f"stat {PLACE}/acl/d")
    stage.check(n1.run(inside, check=False).rc, "a user reads in a folder whose list does not name him any more")
    # The same list by XFS's own name for it.
    n1.run(f"{look} && setfattr -x trusted.SGI_ACL_FILE {PLACE}/acl/f")
    stage.check(n1.run(look, check=False).rc, "a user reads whom a list named that was removed by its other name")
    keeper.close()


def _flags(stage, n1, n2):
    keeper = stage.keeper(n1)
    n1.run(f"cd {PLACE} && head -c 10000 /dev/zero >append && echo still >still && mkdir folder")
    keeper.ok(f"open 1 {PLACE}/append +")
    n2.run(f"chattr +a {PLACE}/append")
    keeper.fails("truncate 1 0", "errno EPERM")
    stage.same(keeper.ok("size 1"), "10000", "size of a file that only grows")
    # As on XFS: what was opened before may still write anywhere.
    keeper.ok("write 1 0 100 1")
    n2.run(f"chattr -a {PLACE}/append")
    stage.same(keeper.ok("size 1"), "10000", "size")
    keeper.ok("truncate 1 5")

    path = stage.start(n1, f"{PROGRAMS}/attr_hold path {PLACE}/still")
    stage.same(path.line(30), "ready", "attr_hold")

    def again():
        path.tell("open")
        return path.line(30)

    stage.same(again(), "ok", "opening a file held by path")
    n2.run(f"chattr +i {PLACE}/still")
    stage.same(again(), "errno EPERM", "opening a file held by path, made immutable since")
    n2.run(f"chattr -i {PLACE}/still")
    n1.run(f"stat {PLACE}/still")
    stage.same(again(), "ok", "opening it when it is not immutable any more")
    path.process.stdin.close()

    # By descriptor alone, where the kernel looks at flags before it asks anybody: what was taken away refuses nothing, what is there refuses.
    keeper.ok(f"open 2 {PLACE}/still +")
    for flag, refused in (("+i", True), ("-i", False)):
        n2.run(f"chattr {flag} {PLACE}/still")
        if refused:
            n1.run(f"stat {PLACE}/still")
            for _ in range(2):
                keeper.fails("fchmod 2 600", "errno EPERM")
                keeper.fails(f"unlink {PLACE}/still", "errno EPERM")
                keeper.fails(f"link 2 {PLACE}/linked", "errno EPERM")
                keeper.fails(f"open 3 {PLACE}/still w", "errno EPERM")
                n2.run(f"stat {PLACE}/still")  # still there after the volume was elsewhere
        else:
            keeper.ok("fchmod 2 640")
    stage.same(n2.run(f"stat -c %a {PLACE}/still").out, "640\n", "mode after fchmod")

    keeper.ok(f"chdir {PLACE}/folder")
    n2.run(f"chattr +i {PLACE}/folder")
    keeper.fails("mkdir sub", "errno EPERM")
    n2.run(f"chattr -i {PLACE}/folder")
    keeper.ok(f"exists {PLACE}/folder")
    keeper.ok("mkdir sub")
    keeper.close()


def _modes(stage, n1, n2):
    """What a truncate takes away may have been given on the other node."""
    n1.run(f"cd {PLACE} && head -c 1000 /dev/zero >tool && chmod 755 tool && chown user1 tool")
    # Attributes of a sticky folder are its owner's, as it is now. By descriptor: a name is asked about on the way.
    n1.run(f"mkdir -m 777 {PLACE}/sticky")
    holder = stage.start(n1, f"su user1 -s /bin/sh -c 'exec 3<{PLACE}/sticky; for name in a b; do setfattr -n user.$name -v 1 /proc/self/fd/3; "
                             "echo $?; read go; done'")
    stage.same(holder.line(30), "0", "an attribute of a folder that anybody may write to")
    n2.run(f"chmod +t {PLACE}/sticky")
    holder.tell("go")
    stage.matches("not permitted", holder.line(30), "an attribute of a folder that the other node made sticky")
    holder.close()
    keeper = _as_user(stage, n1)
    keeper.ok(f"open 1 {PLACE}/tool +")
    n2.run(f"chmod 6755 {PLACE}/tool && setcap cap_net_raw+ep {PLACE}/tool")
    keeper.ok("truncate 1 10")
    stage.same(n2.run(f"cd {PLACE} && stat -c %a tool && getcap tool").out, "755\n", "mode and capabilities after the owner's truncate")
    keeper.close()


def _memory_that_never_comes(stage, n1, n2):
    n1.run(f"cd {PLACE} && echo x >extents")
    for what in ("fiemap", "label"):
        stuck = stage.start(n1, f"{PROGRAMS}/attr_hold {what} {PLACE}/extents")
        stage.same(stuck.line(30), "stuck", f"attr_hold {what}")
        n2.run(f"ls {PLACE} >/dev/null", timeout=20)
        stuck.process.stdin.close()
        stuck.process.wait(20)


def _big_sectors(stage, node):
    """A disk image on a volume whose disk has sectors of 4096 bytes, used with O_DIRECT."""
    work = "/run/big"
    node.run(f"mkdir -p {work} /run/inner && mount -t tmpfs -o size=600m tmpfs {work} && truncate -s 400m {work}/image")
    outer = node.run(f"losetup -b 4096 -f --show {work}/image").out.strip()
    try:
        node.run(f"mkfs.xfs -q {outer}")
        stage.mount(node, device=outer)
        node.run(f"truncate -s 320m {PLACE}/disk")
        inner = node.run(f"losetup --direct-io=on -f --show {PLACE}/disk").out.strip()
        stage.same(node.run(f"blockdev --getss {inner}; cat /sys/block/{inner.rpartition('/')[2]}/loop/dio").out, "4096\n1\n",
                   "sector size and O_DIRECT of a loop device on mxfs")
        node.run(f"mkfs.ext4 -q {inner} && mount -t ext4 {inner} /run/inner && head -c 5000000 /dev/urandom >/run/inner/f && "
                 f"sha256sum /run/inner/f >/run/big.sum && umount /run/inner && mount -t ext4 {inner} /run/inner && sha256sum -c /run/big.sum")
    finally:
        node.run(f"umount /run/inner; losetup -d {'$(losetup -n -O NAME -j ' + PLACE + '/disk)'}; umount {PLACE}; losetup -D; umount {work}", check=False)
