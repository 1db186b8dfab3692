/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: attributes of the inodes that the VFS sees (apply.c).
 */
#ifndef _MXFS_APPLY_H
#define _MXFS_APPLY_H

#include "inode.h"

/*
 * What whoever serves an operation says that an inode looks like. Where XFS is mounted here that is no copy but XFS's inode, which is read
 * when it is applied (apply.c says why), and stays as long as the gate is passed and the inode is bound to it.
 */
struct mxfs_attrs {
	const struct inode *xfs;
};

void mxfs_copy_attr(struct inode *inode, const struct inode *lower) __mxfs_hot;
void mxfs_copy_written(struct inode *inode, const struct inode *lower) __mxfs_hot;
void mxfs_copy_links(struct inode *inode, const struct inode *lower) __mxfs_hot;
void mxfs_trust_permission(struct inode *inode);
void mxfs_distrust(struct inode *inode);

static inline void mxfs_apply(struct inode *inode, const struct mxfs_attrs *attr)
{
	mxfs_copy_attr(inode, attr->xfs);
}

/* What making or removing a name has changed. */
static inline void mxfs_apply_links(struct inode *inode, const struct mxfs_attrs *attr)
{
	mxfs_copy_links(inode, attr->xfs);
}

/* Are the attributes here those of this attach? Who sees that they are sees them. */
static inline bool mxfs_attr_is_fresh(const struct inode *inode)
{
	/* Pairs with smp_store_release() in mxfs_copy_attr(). */
	return smp_load_acquire(&MXFS_I(inode)->attr_seq) == READ_ONCE(MXFS_ISB(inode)->attach_seq);
}

#endif /* _MXFS_APPLY_H */
