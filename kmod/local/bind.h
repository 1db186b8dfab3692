/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what upper inodes and open files have below (local/bind.c).
 */
#ifndef _MXFS_LOCAL_BIND_H
#define _MXFS_LOCAL_BIND_H

#include <linux/err.h>
#include "backend.h"

/*
 * Anything lower that is let go outside a gate (evictions, releases, async I/O) is counted;
 * detaching waits.
 */
static inline void mxfs_drain_get(struct mxfs_sb *sbi)
{
	atomic_inc(&sbi->bind.draining);
}

static inline void mxfs_drain_put(struct mxfs_sb *sbi)
{
	/* The atomic operation is the barrier that waitqueue_active() needs. */
	if (atomic_dec_and_test(&sbi->bind.draining) && waitqueue_active(&sbi->bind.drained))
		wake_up_all(&sbi->bind.drained);
}

struct dentry *mxfs_find_lower(struct inode *inode);
void mxfs_set_lower(struct inode *inode, struct dentry *lower) __mxfs_hot;
struct dentry *mxfs_take_lower(struct mxfs_inode *mi) __mxfs_hot;
int mxfs_remember(struct inode *inode, struct dentry *lower);
void mxfs_carry_error(struct inode *inode, struct inode *lower);
void mxfs_carry_error_locked(struct inode *inode, struct inode *lower);
int mxfs_copy_lower_attr(struct inode *inode);
struct file *mxfs_open_lower(struct mxfs_open *open, struct vfsmount *mnt, int flags);
struct file *mxfs_find_lower_file(struct file *file);
void mxfs_put_lower(struct mxfs_open *open);
bool mxfs_is_noatime(const struct file *file);
void mxfs_touch_mapped(const struct file *file);

/**
 * mxfs_lower - the lower dentry of an inode
 * @inode: upper
 *
 * To be called inside a gate, and good until it is left.
 *
 * Return: a borrowed dentry, or an ERR_PTR: -ESTALE when the file was removed by another node.
 */
static inline struct dentry *mxfs_lower(struct inode *inode)
{
	struct dentry *lower;

	/* Pairs with smp_store_release() in mxfs_set_lower(). */
	lower = smp_load_acquire(&MXFS_I(inode)->lower);
	return likely(lower) ? lower : mxfs_find_lower(inode);
}

/* Its attributes, for what changed it; attr.xfs is NULL for no inode, or one that is gone. */
static inline struct mxfs_attrs mxfs_attr_below(struct inode *inode)
{
	struct dentry *lower = inode ? mxfs_lower(inode) : NULL;

	return (struct mxfs_attrs){ .xfs = IS_ERR_OR_NULL(lower) ? NULL : d_inode(lower) };
}

/* Takes over the reference to a positive dentry. */
static inline void mxfs_found_is(struct mxfs_found *found, struct dentry *lower)
{
	const struct inode *linode = d_inode(lower);

	*found = (struct mxfs_found){
		.id = { .ino = linode->i_ino, .gen = linode->i_generation },
		.rdev = linode->i_rdev,
		.attr.xfs = linode,
		.lower = lower,
	};
}

/* Inside a gate: make the copied attributes those of this attach. */
static inline int mxfs_refresh_attr(struct inode *inode)
{
	return likely(mxfs_attr_is_fresh(inode)) ? 0 : mxfs_copy_lower_attr(inode);
}

/* The end of what mxfs_open_lower() began; anywhere. */
static inline void mxfs_close_lower(struct mxfs_open *open)
{
	/* Pairs with smp_store_release() in mxfs_drop_lower_files(). */
	if (smp_load_acquire(&open->lower))
		mxfs_put_lower(open);
}

/* As mxfs_open_lower(), for an open file. */
static inline struct file *mxfs_lower_file(struct file *file)
{
	struct mxfs_open *open = READ_ONCE(file->private_data);
	struct file *lower;

	if (unlikely(!open))
		return mxfs_find_lower_file(file);
	/* Pairs with smp_store_release() in mxfs_open_lower(). */
	lower = smp_load_acquire(&open->lower);
	return likely(lower) ? lower : mxfs_find_lower_file(file);
}

#endif /* _MXFS_LOCAL_BIND_H */
