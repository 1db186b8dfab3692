// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: who serves operations where XFS is mounted here.
 */
#include "local/bind.h"
#include "local/local.h"
#include "local/opens.h"

/**
 * mxfs_found_bind - what was found is what the inode has below
 * @inode: upper, of the same file
 * @found: its reference is taken over
 */
void mxfs_found_bind(struct inode *inode, struct mxfs_found *found)
{
	mxfs_set_lower(inode, found->lower);
	found->lower = NULL;
}

/*
 * The lower dentry of a name that was removed while nobody had the file open (mxfs_remove_known()): what d_delete()
 * in vfs_unlink() makes of it on XFS. Had we the only reference then, it would have done so then.
 */
static void mxfs_leave_negative(struct dentry *lower)
{
	if (!d_unhashed(lower) && !d_inode(lower)->i_nlink)
		d_delete(lower);
}

/* The end of an inode, or of all but its memory: what it has below. */
void mxfs_let_lower_go(struct mxfs_inode *mi)
{
	struct mxfs_sb *sbi = MXFS_ISB(&mi->vfs_inode);
	struct dentry *lower;

	mxfs_close_lower(&mi->wb);

	/*
	 * A detach may be emptying the list at this moment: whoever takes the dentry off it lets it
	 * go.
	 */
	spin_lock(&sbi->bind.lock);
	if (unlikely(sbi->orphans.keeping == mi))
		sbi->orphans.keeping = NULL;
	if (!list_empty(&mi->cached_entry))
		list_del_init(&mi->cached_entry);
	if (!list_empty(&mi->told_entry))
		mxfs_opens_forget(sbi, mi);
	lower = mi->lower;
	if (lower) {
		mxfs_take_lower(mi);
		mxfs_drain_get(sbi);
	}
	spin_unlock(&sbi->bind.lock);
	if (lower) {
		mxfs_leave_negative(lower);
		dput(lower);
		mxfs_drain_put(sbi);
	}
}

/* Inside a gate: attributes are those of this attach. Return: 0, or why there is no lower inode. */
static int mxfs_local_refresh(struct inode *inode)
{
	return mxfs_refresh_attr(inode);
}

const struct mxfs_ops mxfs_local_ops = {
	.refresh = mxfs_local_refresh,
	.getattr = mxfs_local_getattr,
	.setattr = mxfs_local_setattr,
	.get_link = mxfs_local_get_link,
	.touch_link = mxfs_local_touch_link,
	.listxattr = mxfs_local_listxattr,
	.get_xattr = mxfs_local_get_xattr,
	.set_xattr = mxfs_local_set_xattr,
	.get_acl = mxfs_local_get_acl,
	.set_acl = mxfs_local_set_acl,
	.fileattr_get = mxfs_local_fileattr_get,
	.fileattr_set = mxfs_local_fileattr_set,
	.fiemap = mxfs_local_fiemap,
	.statfs = mxfs_local_statfs,
	.sync = mxfs_local_sync,
	.open = mxfs_local_open,
	.lookup = mxfs_local_lookup,
	.make = mxfs_local_make,
	.remove = mxfs_local_remove,
	.rename = mxfs_local_rename,
	.tmpfile = mxfs_local_tmpfile,
	.iterate = mxfs_local_iterate,
	.know_fh = mxfs_local_know_fh,
	.find_fh = mxfs_local_find_fh,
	.get_parent = mxfs_local_get_parent,
};
