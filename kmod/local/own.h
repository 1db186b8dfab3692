/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: .mxfs, the folder that nobody sees (local/own.c).
 */
#ifndef _MXFS_LOCAL_OWN_H
#define _MXFS_LOCAL_OWN_H

#include <linux/dcache.h>
#include "inode.h"

#define MXFS_OWN ".mxfs"

/* Is this the one name of the volume that is ours? */
static inline bool mxfs_is_own_name(const struct inode *dir, const struct qstr *name)
{
	return unlikely(name->len == sizeof(MXFS_OWN) - 1 && !memcmp(name->name, MXFS_OWN, sizeof(MXFS_OWN) - 1) &&
			dir == d_inode(dir->i_sb->s_root));
}

int mxfs_own_check(struct mxfs_sb *sbi, struct dentry *root);
int mxfs_own_begin(struct mxfs_sb *sbi);
struct dentry *mxfs_own_dir(struct mxfs_sb *sbi, const char *name, bool create);
struct file *mxfs_own_file(struct mxfs_sb *sbi, struct dentry *dir, const char *in, const char *name, int flags);
struct dentry *mxfs_own_look(struct dentry *root, const char *name);
int mxfs_own_each(struct mxfs_sb *sbi, const char *folder,
		  int (*each)(struct mxfs_sb *sbi, struct dentry *dir, const char *name, void *arg), void *arg);
int mxfs_own_bytes(const struct path *path, u64 *bytes);
int mxfs_own_plain(struct dentry *dentry);
int mxfs_own_keep(struct dentry *dentry);
int mxfs_own_place(struct mxfs_sb *sbi, struct file *file, const char *name);
int mxfs_own_link(struct dentry *lower, struct dentry *dir, struct dentry *link);
int mxfs_own_unlink(struct dentry *dir, const char *name);
int mxfs_own_inode(struct mxfs_sb *sbi, u64 ino);
void mxfs_reserve_fill(struct mxfs_sb *sbi);
void mxfs_reserve_look(struct mxfs_sb *sbi);
bool mxfs_reserve_free(struct mxfs_sb *sbi);

#endif /* _MXFS_LOCAL_OWN_H */
