# SPDX-License-Identifier: Apache-2.0
"""The Debian package of the daemon on a node: upgraded while the volume is mounted and written to, the daemon that runs goes on, and the
kernel starts the new one when that dies; an upgrade that would not fit, and a removal, are refused while it is mounted; purge leaves who
the node is. Both packages' scripts also refuse what is mounted in another mount namespace only, and what is in use after `umount -l`."""

from lablib import packages
from lablib.protocol import DEVICE, PLACE, PROGRAMS

LIMIT = 600
MARKERS = ["SELFTEST: packages ok"]
EXPECTED = []


def run(stage):
    n1, n2 = stage.n1, stage.n2
    (package,) = [file for file in packages.make() if file.name.startswith("mxfs_")]
    other = packages.hollow(stage.lab.folder, "mxfs", "99", "netlink 99, peers 99, discovery 99")
    for file in (package, other):
        n1.push(file, f"/tmp/{'other' if file is other else 'mxfs'}.deb")
    # The module is the lab's: DKMS and a compiler are not on a node.
    install = "dpkg --force-depends --install /tmp/mxfs.deb 2>&1"
    stage.matches("Setting up mxfs", n1.run(install, timeout=240).out, "the first installation")

    stage.mkfs()
    stage.mount(n1)
    stage.mount(n2)
    n1.run(f"mkdir {PLACE}/d")
    first = stage.daemon_pid(n1)
    stage.same(_files_gone(n1, first), 0, "replaced files that the daemon of the package has open")
    programs = [stage.start(node, f"{PROGRAMS}/stress {PLACE}/d {node.number} 2 20") for node in (n1, n2)]
    said = n1.run(install, timeout=240).out
    stage.matches("Unpacking mxfs .* over ", said, "the upgrade")
    for node, program in zip((n1, n2), programs):
        done = program.finish(240)
        stage.check(done.rc == 0, f"{node.name}: work under the upgrade: status {done.rc}: {done.out}")
    stage.same(stage.daemon_pid(n1), first, "the daemon after the upgrade")
    stage.check(_files_gone(n1, first) > 0, "the upgrade replaced nothing that the daemon has open")
    stage.note("upgraded under load; the daemon that ran goes on")

    n1.run(f"kill -9 {first}")
    second = stage.until(lambda: stage.daemon_pid(n1) not in (None, first) and stage.daemon_pid(n1), 60, "a new daemon")
    n1.run(f"echo after >{PLACE}/d/after", timeout=60)
    stage.same(n2.run(f"cat {PLACE}/d/after", timeout=60).out, "after\n", "what the upgraded node wrote")
    stage.same(_files_gone(n1, second), 0, "replaced files that the new daemon has open")

    for command, reason in (("dpkg --force-depends --install /tmp/other.deb", f"{PLACE} is mounted, and a daemon of 99"),
                            ("dpkg --force-depends --remove mxfs", f"{PLACE} is mounted: unmount it first")):
        done = n1.run(command + " 2>&1", check=False, timeout=240)
        stage.check(done.rc != 0, f"'{command}' while it is mounted: {done.out}")
        stage.matches(reason, done.out, command)
        stage.same(n1.run("dpkg-query -W -f '${db:Status-Status}' mxfs; /usr/sbin/mxfsd --version | wc -l").out, "installed1\n", command)
        stage.same(stage.daemon_pid(n1), second, f"the daemon after '{command}'")
    n1.run(f"rm {PLACE}/d/after", timeout=60)

    stage.umount(n1)
    _seen_by_the_module(stage, n1)

    stage.umount(n2)
    who = n1.run("cat /etc/mxfs/node.uuid").out
    # In the lab the logs are on the host. Those of somebody who has given them a file system of their own:
    n1.run("umount /var/log/mxfs && mount -t tmpfs tmpfs /var/log/mxfs && touch /var/log/mxfs/v.log && dpkg --purge mxfs", timeout=60)
    stage.same(n1.run("ls -A /var/log/mxfs && umount /var/log/mxfs && rmdir /var/log/mxfs").out, "", "logs on a file system of their own, after purge")
    stage.same(n1.run("cat /etc/mxfs/node.uuid").out, who, "the node's UUID after purge")
    left = n1.run("ls -d /etc/mxfs/* /etc/logrotate.d/mxfs /usr/lib/mxfs /usr/sbin/*mxfs* /usr/share/doc/mxfs /usr/share/mxfs /run/mxfs /var/log/mxfs "
                  "2>/dev/null", check=False).out.split()
    stage.same(left, ["/etc/mxfs/node.uuid"], "what is left after purge")
    stage.repair(n2)
    stage.boot_afresh([n1])  # with the daemon of the lab again
    stage.marker("SELFTEST: packages ok")


def _seen_by_the_module(stage, node):
    """What shows in no mount of the package manager's namespace is refused by all scripts, of both packages."""
    dkms = packages.hollow(stage.lab.folder, "mxfs-dkms", "99", "netlink 99, peers 99, discovery 99")
    node.push(dkms, "/tmp/dkms.deb")  # which needs what no node has; its scripts do not, to refuse
    node.run("dpkg-deb -e /tmp/dkms.deb /tmp/dkms")
    apart = stage.start(node, f"unshare -m --propagation private sh -c '{stage.mount_command()} {DEVICE} {PLACE} && exec 3<{PLACE}/d && echo there && read -r go && "
                              f"umount -l {PLACE} && echo away && read -r go'")
    for said, reason in (("there", rf"{PLACE} is mounted in the mount namespace of process \d+"), ("away", "the module is in use")):
        stage.same(apart.line(60), said, "the mount in a namespace of its own")
        stage.same(node.run("grep -c ' mxfs ' /proc/self/mounts || true").out, "0\n", "mounts that everybody sees")
        for name, command in (("mxfs", "dpkg --force-depends --install /tmp/other.deb"), ("mxfs", "dpkg --force-depends --remove mxfs"),
                              ("mxfs-dkms", "/tmp/dkms/preinst upgrade 0"), ("mxfs-dkms", "/tmp/dkms/prerm remove")):
            done = node.run(command + " 2>&1", check=False, timeout=240)
            stage.check(done.rc != 0, f"'{command}' while the volume is mounted elsewhere: {done.out}")
            stage.matches(f"{name}: {reason}", done.out, command)
            stage.same(node.run("dpkg-query -W -f '${db:Status-Status}' mxfs").out, "installed", command)
        apart.tell("go")
    stage.same(apart.finish(60).rc, 0, "the mount in a namespace of its own")
    stage.until(lambda: node.run("cat /sys/module/mxfs/refcnt").out == "0\n", 60, "the end of the last user of the module")


def _files_gone(node, pid):
    """How many files the process has mapped that are no longer there by name."""
    return int(node.run(f"grep -c '/usr/lib/mxfs/.* (deleted)$' /proc/{pid}/maps || true").out)
