// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: files by handle, where XFS is mounted here.
 */
#include <linux/exportfs.h>
#include "local/bind.h"
#include "local/local.h"
#include "local/own.h"

/* What was removed here is there as long as it is held: who asks holds it. */
int mxfs_local_open(struct inode *inode)
{
	struct dentry *lower = mxfs_lower(inode);

	return IS_ERR(lower) && S_ISREG(inode->i_mode) ? PTR_ERR(lower) : 0;
}

int mxfs_local_know_fh(struct inode *inode)
{
	struct dentry *lower = mxfs_lower(inode);

	return IS_ERR(lower) ? PTR_ERR(lower) : mxfs_remember(inode, lower);
}

int mxfs_local_find_fh(struct super_block *sb, u32 *fh, int words, int type, struct mxfs_found *found)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);
	struct dentry *lower;
	int err;

	lower = exportfs_decode_fh_raw(sbi->lower, (struct fid *)fh, words, type, 0, NULL, NULL);
	if (IS_ERR_OR_NULL(lower))
		return lower ? PTR_ERR(lower) : -ESTALE;
	err = mxfs_own_inode(sbi, d_inode(lower)->i_ino);
	if (err)
		dput(lower);
	else
		mxfs_found_is(found, lower);
	return err;
}

int mxfs_local_get_parent(struct inode *inode, struct mxfs_found *found)
{
	struct dentry *lower = mxfs_lower(inode), *parent;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	parent = lower->d_sb->s_export_op->get_parent(lower);
	if (IS_ERR_OR_NULL(parent))
		return parent ? PTR_ERR(parent) : -ESTALE;
	mxfs_found_is(found, parent);
	return 0;
}
