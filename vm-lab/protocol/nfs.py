# SPDX-License-Identifier: Apache-2.0
"""A volume that is exported by the kernel's NFS server with subtree_check: handles of before a restart of the server, and a new mount."""

from lablib.protocol import PLACE, PROGRAMS

LIMIT = 120
MARKERS = ["SELFTEST: exported ok"]
EXPECTED = []


def run(stage):
    _exported(stage, stage.n1)
    stage.marker("SELFTEST: exported ok")


def _exported(stage, node):
    """A server that checks whether a file lies below what it exports (subtree_check) finds it by a handle of before it was started."""
    def serve():
        # A read-only export, to any port, with fsid=0: 1 + 2 + 8192; whoever asks is mountd here.
        node.run(f"""date -d tomorrow +%s | tee /proc/net/rpc/auth.unix.ip/flush /proc/net/rpc/nfsd.fh/flush >/proc/net/rpc/nfsd.export/flush
            echo 'nfsd 127.0.0.1 2147483647 lab' >/proc/net/rpc/auth.unix.ip/channel
            echo 'lab {PLACE}/exported 2147483647 8195 65534 65534 0' >/proc/net/rpc/nfsd.export/channel
            echo 'lab 1 \\x00000000 2147483647 {PLACE}/exported' >/proc/net/rpc/nfsd.fh/channel
            echo 1 >/proc/fs/nfsd/threads""")

    def rest():
        node.run("echo 0 >/proc/fs/nfsd/threads; date -d tomorrow +%s | tee /proc/net/rpc/auth.unix.ip/flush /proc/net/rpc/nfsd.fh/flush "
                 ">/proc/net/rpc/nfsd.export/flush")

    stage.mkfs()
    stage.mount(node)
    node.run(f"mkdir -p {PLACE}/exported/a/b && echo good >{PLACE}/exported/a/b/f && ip link set lo up && modprobe nfsd && "
             "mount -t nfsd nfsd /proc/fs/nfsd && echo '-3 +4' >/proc/fs/nfsd/versions")
    try:
        serve()
        handles = [node.run(f"{PROGRAMS}/nfs_handle get {path}").out.strip() for path in ("a", "a b", "a b f")]
        for handle in handles:
            stage.same(node.run(f"{PROGRAMS}/nfs_handle ask {handle}").out, "nfs 0\n", "a handle at once")
        rest()
        # The kernel's server lets go of what it exported a moment later, by work.
        stage.until(lambda: node.run(f"umount {PLACE}", check=False).rc == 0, 20, "the server to let go of the volume")
        stage.mount(node)
        serve()
        for handle in reversed(handles):
            stage.same(node.run(f"{PROGRAMS}/nfs_handle ask {handle}").out, "nfs 0\n", "a handle after the server was started again")
    finally:
        rest()
        node.run("umount /proc/fs/nfsd")
    stage.until(lambda: node.run(f"umount {PLACE}", check=False).rc == 0, 20, "the server to let go of the volume")
