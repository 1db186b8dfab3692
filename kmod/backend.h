/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what an operation is, whoever does it.
 *
 * A method of the VFS looks at what can be told above, begins (which passes the gate and says who serves), calls one function of
 * struct mxfs_ops, applies what came back to the inodes that the VFS sees, and ends. It knows nothing of what is below.
 *
 * The functions of the table are called inside the operation gate.
 */
#ifndef _MXFS_BACKEND_H
#define _MXFS_BACKEND_H

#include "apply.h"
#include "compat.h"
#include "enter.h"
#include "inode.h"

struct dir_context;
struct fiemap_extent_info;
struct posix_acl;

/**
 * struct mxfs_found - a file that was found or made
 * @id: which it is
 * @rdev: of a special file
 * @attr: what it looks like
 * @lower: what its inode will have below, with a reference; NULL when the name is free
 *
 * For mxfs_iget(), which takes the reference over, or mxfs_found_put().
 */
struct mxfs_found {
	struct mxfs_file_id id;
	dev_t rdev;
	struct mxfs_attrs attr;
	struct dentry *lower;
};

/* What to make; at most one of @target and @existing. */
struct mxfs_new {
	umode_t mode;
	dev_t rdev;
	const char *target;
	struct inode *existing;
};

/* What a rename changes: both directories, what was renamed, and what had the new name (its attr.xfs is NULL where nothing had). */
struct mxfs_renamed {
	struct mxfs_attrs old_dir, new_dir, inode, other;
};

/**
 * struct mxfs_ops - who serves operations
 *
 * Each returns 0 or -errno, if nothing else is said; -ESTALE for an inode: another node has removed it.
 *
 * @refresh: the attributes here are those of this attach
 * @getattr: as ->getattr of an inode; device and links are for the caller to fill in
 * @setattr: as ->setattr, by the attributes as they are now; pages of maps are the caller's
 * @get_link: where a symbolic link leads to, to be freed by kfree()
 * @touch_link: it was followed
 * @get_acl: an access control list, or an ERR_PTR
 * @fiemap: takes no page fault: -EFAULT, and how far it came is in @info
 * @statfs: of the volume
 * @sync: all of it to the disk; what could not be written is noted for syncfs(2)
 * @open: is the file still there?
 * @lookup: @found is what a name means; without @found->lower it is free
 * @make: a name and its file, or one more name; without @found->lower somebody else has the inode
 * @remove: the name that @dentry has
 * @rename: both names as the dentries have them
 * @tmpfile: a file without a name
 * @iterate: names of a directory from ctx->pos on; with @nofault for memory of the user's, as far as that takes no page fault
 * @know_fh: have the inode know its file handle
 * @find_fh: the file of a handle; of the parent directory with @get_parent
 */
struct mxfs_ops {
	int (*refresh)(struct inode *inode);
	int (*getattr)(struct inode *inode, struct kstat *stat, u32 mask, unsigned int flags);
	int (*setattr)(struct inode *inode, const struct iattr *iattr, struct mxfs_attrs *attr);
	char *(*get_link)(struct inode *inode);
	int (*touch_link)(struct inode *inode, struct mxfs_attrs *attr);
	ssize_t (*listxattr)(struct inode *inode, char *list, size_t size);
	int (*get_xattr)(struct inode *inode, const char *name, void *value, size_t size);
	int (*set_xattr)(struct inode *inode, const char *name, const void *value, size_t size, int flags,
			 struct mxfs_attrs *attr);
	struct posix_acl *(*get_acl)(struct inode *inode, int type);
	int (*set_acl)(struct inode *inode, struct posix_acl *acl, int type, struct mxfs_attrs *attr);
	int (*fileattr_get)(struct inode *inode, struct mxfs_fileattr *fa);
	int (*fileattr_set)(struct inode *inode, struct mxfs_fileattr *fa, struct mxfs_attrs *attr);
	int (*fiemap)(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len);
	int (*statfs)(struct inode *inode, struct kstatfs *buf);
	int (*sync)(struct super_block *sb);
	int (*open)(struct inode *inode);

	int (*lookup)(struct inode *dir, const struct qstr *name, struct mxfs_found *found);
	int (*make)(struct inode *dir, const struct qstr *name, const struct mxfs_new *new, struct mxfs_found *found,
		    struct mxfs_attrs *dir_attr);
	int (*remove)(struct inode *dir, struct dentry *dentry, bool is_dir, struct mxfs_attrs *dir_attr,
		      struct mxfs_attrs *attr);
	int (*rename)(struct inode *old_dir, struct dentry *old_dentry, struct inode *new_dir, struct dentry *new_dentry,
		      unsigned int flags, struct mxfs_renamed *renamed);
	int (*tmpfile)(struct inode *dir, umode_t mode, unsigned int flags, struct mxfs_found *found);
	int (*iterate)(struct file *file, struct dir_context *ctx, bool nofault);

	int (*know_fh)(struct inode *inode);
	int (*find_fh)(struct super_block *sb, u32 *fh, int words, int type, struct mxfs_found *found);
	int (*get_parent)(struct inode *inode, struct mxfs_found *found);
};

/* An operation from mxfs_begin() to mxfs_end(). */
struct mxfs_op {
	struct mxfs_sb *sbi;
	const struct mxfs_ops *ops;
};

/* Inside the operation gate: who serves is another one only after all have left it. */
static inline void mxfs_begin_inside(struct mxfs_op *op, struct mxfs_sb *sbi)
{
	op->sbi = sbi;
	op->ops = sbi->ops;
}

/**
 * mxfs_begin - begin an operation
 * @op: filled in
 * @sbi: the mount
 *
 * Return: as mxfs_enter(); after 0, mxfs_end() has to follow.
 */
static inline int mxfs_begin(struct mxfs_op *op, struct mxfs_sb *sbi)
{
	int err = mxfs_enter(sbi);

	mxfs_begin_inside(op, sbi);
	return err;
}

static inline void mxfs_end(struct mxfs_op *op)
{
	mxfs_leave(op->sbi);
}

static inline void mxfs_found_put(struct mxfs_found *found)
{
	dput(found->lower);
	found->lower = NULL;
}

#endif /* _MXFS_BACKEND_H */
