# SPDX-License-Identifier: Apache-2.0
"""The netlink library, alone, against families of the running kernel: ethtool's dumps, nested arrays, refusals in the kernel's
words and events; dumps while devices come and go; a family that goes and comes with its module."""

from lablib import build, host, jdk

LIMIT = 240
MARKERS = ["SELFTEST: netlink dump ok", "SELFTEST: netlink events ok", "SELFTEST: netlink churn ok", "SELFTEST: netlink family ok"]
EXPECTED = []
SOURCES = host.CHECKOUT / "netlink/src/test/java/org/mxfs/netlink/tool"
PLACE = "/run/netlink-check"


def compiled():
    """The test program, compiled against the run time that the nodes have; a class path."""
    tree = build.daemon_tree()
    sources = [path for path in sorted(SOURCES.glob("*.java")) if path.name != "package-info.java"]
    result = host.cache() / "netlink-check" / host.digest(tree.name, *sources)
    host.call([str(jdk.find() / "bin/javac"), "--system", str(tree / "usr/lib/mxfs"), "--add-modules", "org.mxfs.netlink",
               "-proc:none", "-d", str(result), *map(str, sources)], "compiling the netlink test program")
    return result


def run(stage):
    node = stage.n1
    node.push(compiled(), PLACE)
    node.run("modprobe dummy numdummies=0")
    said = node.run(f"/usr/lib/mxfs/bin/java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 --enable-native-access=org.mxfs.bindings "
                    f"--add-modules org.mxfs.netlink -cp {PLACE} org.mxfs.netlink.tool.NetlinkCheck "
                    "dump change=lan0 churn=churn0 module=mxfs 2>&1", timeout=LIMIT - 20, check=False)
    node.run("ip link del churn0 2>/dev/null; rmmod dummy", check=False)
    stage.check(said.rc == 0, f"NetlinkCheck ended with status {said.rc}:\n{said.out[-3000:]}")
    found = dict(line.split(" ", 1) for line in said.out.splitlines() if " " in line)

    # What sysfs says of the same devices; the texts are those of the kernel's net/ethtool.
    stage.same(sorted(found["devices"].split()), sorted(node.run("ls /sys/class/net").out.split()), "devices in a dump")
    for feature in ("rx-gro", "tx-checksum-ip-generic", "highdma", "rx-all"):
        stage.check(feature in found["features"].split(), f"no feature {feature} in: {found['features']}")
    stage.matches(r'^ENODEV \d+ .*the kernel says "no device matches name"', found["refused"], "an unknown device")
    stage.matches(r'^\w+ \d+ .*the kernel says "bit name not found"', found["unknown"], "an unknown feature")
    stage.marker(MARKERS[0])
    stage.same([found.get("event-false"), found.get("event-true")], ["lan0 rx-gro"] * 2, "events of a feature's change")
    stage.marker(MARKERS[1])
    stage.note(f"dumps beside changes: {found['dumps']}")
    stage.check(int(found["dumps"].split(",")[0]) >= 2, f"dumps within 8 s: {found['dumps']}")
    stage.marker(MARKERS[2])
    stage.same(found.get("family"), "mxfs", "the family that went and came")
    stage.matches(r"(?m)^mxfs ", node.run("lsmod").out, "the module after it was unloaded and loaded")
    stage.marker(MARKERS[3])
