// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: file handles, for NFS and open_by_handle_at(2).
 *
 * A handle here is XFS's own handle behind one word of ours (its type), so it stays good across
 * changes of owner, on every node, and across mounts.
 */
#include <linux/exportfs.h>
#include "mxfs.h"

#define MXFS_FILEID_TYPE 0x6d

static int mxfs_encode_fh(struct inode *inode, u32 *fh, int *max_words, struct inode *parent)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	struct dentry *lower;
	int words, err;

	if (!READ_ONCE(mi->fh_words)) {
		err = mxfs_enter(MXFS_ISB(inode));
		if (err)
			return FILEID_INVALID;
		lower = mxfs_lower(inode);
		err = IS_ERR(lower) ? PTR_ERR(lower) : mxfs_remember(inode, lower);
		mxfs_leave(MXFS_ISB(inode));
		if (err)
			return FILEID_INVALID;
	}
	words = 1 + mi->fh_words;
	/* No parent inside: connecting goes by ->get_parent and the directories' contents. */
	if (*max_words < words) {
		*max_words = words;
		return FILEID_INVALID;
	}
	*max_words = words;
	fh[0] = mi->fh_type;
	memcpy(fh + 1, mi->fh, mi->fh_words * sizeof(u32));
	return MXFS_FILEID_TYPE;
}

static struct dentry *mxfs_fh_to_dentry(struct super_block *sb, struct fid *fid, int words,
					int type)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);
	struct inode *inode;
	struct dentry *lower;
	int err;

	if (type != MXFS_FILEID_TYPE || words < 2 || words > 1 + MXFS_FH_WORDS)
		return ERR_PTR(-ESTALE);
	err = mxfs_enter(sbi);
	if (err)
		return ERR_PTR(err);
	lower = exportfs_decode_fh_raw(sbi->lower, (struct fid *)(fid->raw + 1), words - 1,
				       fid->raw[0], 0, NULL, NULL);
	if (IS_ERR_OR_NULL(lower)) {
		inode = lower ? ERR_CAST(lower) : ERR_PTR(-ESTALE);
	} else {
		inode = mxfs_iget(sb, lower, false);
		dput(lower);
	}
	mxfs_leave(sbi);
	return d_obtain_alias(inode);
}

static struct dentry *mxfs_get_parent(struct dentry *child)
{
	struct mxfs_sb *sbi = MXFS_SB(child->d_sb);
	struct dentry *lower, *parent;
	struct inode *inode;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return ERR_PTR(err);
	lower = mxfs_lower(d_inode(child));
	parent = IS_ERR(lower) ? lower : lower->d_sb->s_export_op->get_parent(lower);
	if (IS_ERR_OR_NULL(parent)) {
		inode = parent ? ERR_CAST(parent) : ERR_PTR(-ESTALE);
	} else {
		inode = mxfs_iget(child->d_sb, parent, false);
		dput(parent);
	}
	mxfs_leave(sbi);
	return d_obtain_alias(inode);
}

const struct export_operations mxfs_export_ops = {
	.encode_fh = mxfs_encode_fh,
	.fh_to_dentry = mxfs_fh_to_dentry,
	.get_parent = mxfs_get_parent,
};
