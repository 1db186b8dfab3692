# SPDX-License-Identifier: Apache-2.0
"""The module loads and unloads, twice: file system type and netlink family come and go, no slab cache stays."""

LIMIT = 120
MARKERS = ["SELFTEST: module load and unload ok"]
EXPECTED = []


def run(stage):
    node = stage.n1
    node.run("rmmod mxfs")
    before = node.run("lsmod | wc -l; ls /sys/kernel/slab | grep -c mxfs; true").out
    for _ in range(2):
        stage.same(node.run("grep -c mxfs /proc/filesystems", check=False).out.strip(), "0", "file system types before")
        stage.check("mxfs" not in node.run("genl ctrl list").out, "the netlink family is there before the module")
        node.run("modprobe mxfs")
        stage.matches(r"(?m)^\tmxfs$", node.run("cat /proc/filesystems").out, "/proc/filesystems")
        stage.matches(r"Name: mxfs\b", node.run("genl ctrl list").out, "generic netlink families")
        stage.matches(r"(?m)^mxfs_inode", node.run("cat /proc/slabinfo").out, "slab caches")
        node.run("rmmod mxfs")
        stage.check("mxfs" not in node.run("cat /proc/slabinfo /proc/filesystems /proc/modules").out,
                    "something of the module stayed after rmmod")
        stage.check("mxfs" not in node.run("genl ctrl list").out, "the netlink family stayed after rmmod")
        stage.same(node.run("ls -d /sys/kernel/debug/mxfs", check=False).rc, 2, "debugfs folder after rmmod")
    stage.same(node.run("lsmod | wc -l; ls /sys/kernel/slab | grep -c mxfs; true").out, before, "modules and caches at the end")
    stage.marker("SELFTEST: module load and unload ok")

    # A mount keeps the module.
    node.run("modprobe mxfs")
    stage.mkfs()
    stage.mount(node)
    done = node.run("rmmod mxfs", check=False)
    stage.check(done.rc != 0 and "in use" in done.err, f"rmmod of a module in use: status {done.rc}, {done.err}")
    stage.umount(node)
    # What mount(8) needs is found by itself when the module is not loaded: MODULE_ALIAS_FS.
    node.run("rmmod mxfs")
    stage.mount(node)
    stage.umount(node)
