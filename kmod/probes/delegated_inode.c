// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
int probe(struct inode *dir, struct dentry *child);
int probe(struct inode *dir, struct dentry *child)
{
	return vfs_rmdir(&nop_mnt_idmap, dir, child, NULL);
}
