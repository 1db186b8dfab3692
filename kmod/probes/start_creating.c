// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
#include <linux/namei.h>
struct dentry *probe(struct qstr *name, struct renamedata *rd);
struct dentry *probe(struct qstr *name, struct renamedata *rd)
{
	struct dentry *child;

	if (!start_renaming(rd, 0, name, name))
		end_renaming(rd);
	child = start_creating(&nop_mnt_idmap, rd->old_parent, name);
	end_creating(child);
	return start_removing(rd->mnt_idmap, rd->new_parent, name);
}
