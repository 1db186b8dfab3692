# SPDX-License-Identifier: Apache-2.0
"""Mount options: a wrong one fails the mount and is named, with its range; right ones are accepted and shown."""

LIMIT = 120
MARKERS = ["SELFTEST: mount options ok"]
EXPECTED = []


def run(stage):
    node = stage.n1
    stage.mkfs()
    for option, pattern in (("bogus", "bogus"), ("bogus=1", "bogus"), ("port=0", "port=0.*1 to 65535"),
                            ("port=70000", "port=70000.*1 to 65535"), ("port=abc", "port"), ("lease_ms=1", "lease_ms=1.*2000 to"),
                            ("lease_ms=-5", "lease_ms"), ("quantum_ms=99999", "quantum_ms=99999.*0 to 10000"),
                            ("ready_ms=1", "ready_ms=1.*100 to"), ("errors=halt", "errors"), ("errors=panic", "errors"),
                            ("port", "port"), ("debug=7", "debug"), ("iface=", "iface")):
        stage.refused(node, "EINVAL", pattern, option)
    stage.refused(node, "ENOTBLK", "/dev/null|block device", device="/dev/null", what="mount of what is no block device")
    stage.refused(node, "ENOENT", "/dev/none|block device", device="/dev/none", what="mount of what does not exist")
    # What only the daemon can judge: it says so, and nothing stays.
    tried = stage.try_mount(node, "iface=none0")
    stage.check(not tried.mounted, "iface=none0 was mounted")
    stage.matches("none0", tried.said, "mount with an interface that does not exist")
    tried = stage.try_mount(node, "multicast=10.1.2.3")
    stage.check(not tried.mounted, "multicast=10.1.2.3 was mounted, and is no multicast address")
    stage.matches("10.1.2.3", tried.said, "mount with an address that is no multicast address")
    stage.same(stage.leftovers(node), [], "after refused mounts")

    stage.mount(node, "debug,port=7700,lease_ms=10000,quantum_ms=50,ready_ms=20000,iface=lan0,multicast=239.66.83.2,noatime,nosuid")
    line = node.run("grep ' mxfs ' /proc/mounts").out
    for shown in ("debug", "port=7700", "lease_ms=10000", "quantum_ms=50", "ready_ms=20000", "iface=lan0",
                  "multicast=239.66.83.2", "noatime", "nosuid"):
        stage.matches(rf"[ ,]{shown}[ ,]", line, "/proc/mounts")
    stage.matches(":7700", node.run("ss -tln").out, "the daemon's port")
    node.run("echo text >/mnt/shared/f && test \"$(cat /mnt/shared/f)\" = text")
    stage.umount(node)
    stage.marker("SELFTEST: mount options ok")
