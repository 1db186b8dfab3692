# SPDX-License-Identifier: Apache-2.0
"""The VM lab: some Debian 13 machines under QEMU that share one SCSI disk with real reservations.

Scripts use it like this::

    from lablib import Lab, progress

    with Lab.ephemeral("demo", nodes=2) as lab:      # gone at the end, also after a kill -9 of the script
        n1, n2 = lab.nodes
        n1.run("mkfs.xfs -q /dev/sda")
        lab.on_all("sg_persist -n -k /dev/sda")      # both at once, one thread a node
        n1.kill()
        n1.start()
        lab.scan()                                   # raises when a console shows a kernel complaint

The folders say what each part is: host (packages, cache), image (guest and builder roots), target (the
shared disk), network, qmp, node, ssh, lab, build (module, C programs, dist), scan, cli.
"""

from .errors import CheckFailed, LabError, NodeUnreachable
from .lab import Lab
from .node import Node, Result

__all__ = ["CheckFailed", "Lab", "LabError", "Node", "NodeUnreachable", "Result"]
