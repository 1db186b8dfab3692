// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
struct dentry *probe_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			   umode_t mode);

const struct inode_operations probe = { .mkdir = probe_mkdir };
