// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
#include <linux/mount.h>
struct vfsmount *probe(struct fs_context *fc);
struct vfsmount *probe(struct fs_context *fc)
{
	return fc_mount_longterm(fc);
}
