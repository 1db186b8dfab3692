// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
int probe_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode);

const struct inode_operations probe = { .create = probe_create };
