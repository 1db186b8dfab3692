// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
#include <linux/fileattr.h>
int probe(struct dentry *dentry, struct file_kattr *fa);
int probe(struct dentry *dentry, struct file_kattr *fa)
{
	return vfs_fileattr_get(dentry, fa);
}
