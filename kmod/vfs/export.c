// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: file handles, for NFS and open_by_handle_at(2).
 *
 * A handle here is XFS's own handle behind one word of ours (its type), so it stays good across
 * changes of owner, on every node, and across mounts.
 */
#include <linux/exportfs.h>
#include "backend.h"
#include "vfs/vfs.h"

#define MXFS_FILEID_TYPE 0x6d
#define MXFS_FILEID_PARENT_TYPE 0x6e

/*
 * A handle of the first type is XFS's own behind one word, its type. One of the second type has that of a directory in which
 * the file had a name behind it, for servers that look whether a file lies below what is exported (subtree_check); its
 * first word is type, words and, for the directory, type and words, a byte each.
 */
static u32 mxfs_fh_head(const struct mxfs_inode *mi, const struct mxfs_inode *parent)
{
	return mi->fh_type | mi->fh_words << 8 | (u32)parent->fh_type << 16 | (u32)parent->fh_words << 24;
}

static int mxfs_know_fh(struct inode *inode)
{
	struct mxfs_op op;
	int err;

	if (READ_ONCE(MXFS_I(inode)->fh_words))
		return 0;
	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = op.ops->know_fh(inode);
	mxfs_end(&op);
	return err;
}

static int mxfs_encode_fh(struct inode *inode, u32 *fh, int *max_words, struct inode *parent)
{
	struct mxfs_inode *mi = MXFS_I(inode), *dir = parent ? MXFS_I(parent) : NULL;
	int words;

	if (mxfs_know_fh(inode) || (parent && mxfs_know_fh(parent)))
		return FILEID_INVALID;
	words = 1 + mi->fh_words + (dir ? dir->fh_words : 0);
	if (*max_words < words) {
		*max_words = words;
		return FILEID_INVALID;
	}
	*max_words = words;
	fh[0] = dir ? mxfs_fh_head(mi, dir) : mi->fh_type;
	memcpy(fh + 1, mi->fh, mi->fh_words * sizeof(u32));
	if (dir)
		memcpy(fh + 1 + mi->fh_words, dir->fh, dir->fh_words * sizeof(u32));
	return dir ? MXFS_FILEID_PARENT_TYPE : MXFS_FILEID_TYPE;
}

static struct dentry *mxfs_find_fh(struct super_block *sb, u32 *fh, int words, int type)
{
	struct mxfs_found found;
	struct inode *inode;
	struct mxfs_op op;
	int err;

	if (words < 1 || words > MXFS_FH_WORDS)
		return ERR_PTR(-ESTALE);
	err = mxfs_begin(&op, MXFS_SB(sb));
	if (err)
		return ERR_PTR(err);
	err = op.ops->find_fh(sb, fh, words, type, &found);
	inode = err ? ERR_PTR(err) : mxfs_iget(sb, &found, false);
	mxfs_end(&op);
	return d_obtain_alias(inode);
}

static struct dentry *mxfs_fh_to_dentry(struct super_block *sb, struct fid *fid, int words, int type)
{
	u32 *fh = fid->raw;
	int own;

	if (words < 2)
		return ERR_PTR(-ESTALE);
	switch (type) {
	case MXFS_FILEID_TYPE:
		return mxfs_find_fh(sb, fh + 1, words - 1, fh[0]);
	case MXFS_FILEID_PARENT_TYPE:
		own = fh[0] >> 8 & 0xff;
		return mxfs_find_fh(sb, fh + 1, min(own, words - 1), fh[0] & 0xff);
	default:
		return ERR_PTR(-ESTALE);
	}
}

static struct dentry *mxfs_fh_to_parent(struct super_block *sb, struct fid *fid, int words, int type)
{
	u32 *fh = fid->raw;
	int own, parent;

	if (type != MXFS_FILEID_PARENT_TYPE || words < 2)
		return NULL;
	own = fh[0] >> 8 & 0xff;
	parent = fh[0] >> 24;
	if (1 + own + parent > words)
		return NULL;
	return mxfs_find_fh(sb, fh + 1 + own, parent, fh[0] >> 16 & 0xff);
}

static struct dentry *mxfs_get_parent(struct dentry *child)
{
	struct mxfs_found found;
	struct inode *inode;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_SB(child->d_sb));
	if (err)
		return ERR_PTR(err);
	err = op.ops->get_parent(d_inode(child), &found);
	inode = err ? ERR_PTR(err) : mxfs_iget(child->d_sb, &found, false);
	mxfs_end(&op);
	return d_obtain_alias(inode);
}

const struct export_operations mxfs_export_ops = {
	.encode_fh = mxfs_encode_fh,
	.fh_to_dentry = mxfs_fh_to_dentry,
	.fh_to_parent = mxfs_fh_to_parent,
	.get_parent = mxfs_get_parent,
};
