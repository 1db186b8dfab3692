// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the lower file of an open file, but for what is read and written.
 *
 * It is opened below when the first operation needs it, closed by detaching, and opened again after the next attach.
 */
#include <linux/fadvise.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include "data/data.h"
#include "enter.h"
#include "local/bind.h"
#include "pages/cache.h"

int mxfs_release(struct inode *inode, struct file *file)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_open *open = file->private_data;

	/*
	 * Without a name here and open elsewhere: the inode goes with its last user, but the file does not, and what was
	 * stored through a map of it is part of it. (A detach that is under way has seen to it.)
	 */
	if (unlikely(!inode->i_nlink && (mxfs_is_shared(mi) || READ_ONCE(mi->lent)) && inode->i_mapping->nrpages))
		mxfs_cache_flush(inode, 0, LLONG_MAX);
	if (open) {
		mxfs_close_lower(open);
		mxfs_open_free(open);
	}
	return 0;
}

loff_t mxfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct file *lower;
	loff_t ret;

	if (whence == SEEK_SET || whence == SEEK_CUR)
		return generic_file_llseek(file, offset, whence);
	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		ret = PTR_ERR(lower);
		goto out;
	}
	ret = mxfs_cache_flush(inode, 0, LLONG_MAX);
	if (ret)
		goto out;
	lower->f_pos = file->f_pos;
	ret = vfs_llseek(lower, offset, whence);
	if (ret >= 0)
		ret = vfs_setpos(file, ret, inode->i_sb->s_maxbytes);
out:
	mxfs_leave(sbi);
	return ret;
}

int mxfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct file *lower;
	int err, lost;

	/*
	 * On a node that does not own the volume there is nothing to do: detaching unmounted XFS,
	 * and all that was written here is on disk. What went wrong then was noted in the upper
	 * mapping.
	 */
	err = mxfs_enter_attached(sbi);
	if (err == -ENOTCONN)
		return file_check_and_advance_wb_err(file);
	if (err)
		return err;
	if (S_ISREG(inode->i_mode)) {
		err = file_write_and_wait_range(file, start, end);
		lost = mxfs_cache_left_out(inode, start, end);
		err = err ?: lost;
	}
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower))
		err = err ?: PTR_ERR(lower);
	else
		err = vfs_fsync_range(lower, start, end, datasync) ?: err;
	if (!IS_ERR(lower))
		mxfs_carry_error(inode, file_inode(lower));
	mxfs_leave(sbi);
	/* The lower file may be younger than an error that this descriptor has not told yet. */
	lost = file_check_and_advance_wb_err(file);
	return err ?: lost;
}

/*
 * What is to be read ahead, or not to be kept, is the lower file's cache; that of maps is small beside it. Patterns that a
 * program announces are kept above, because the lower file does not last, and told to each.
 */
int mxfs_fadvise(struct file *file, loff_t offset, loff_t len, int advice)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(file));
	struct file *lower;
	int err;

	if (len < 0)
		return -EINVAL;
	if (advice != POSIX_FADV_WILLNEED) {
		err = generic_fadvise(file, offset, len, advice);
		if (err)
			return err;
	}
	/* Nothing is cached on a node that does not own the volume, and the volume is not taken for advice. */
	if (!mxfs_try_enter(sbi))
		return 0;
	lower = mxfs_lower_file(file);
	err = IS_ERR(lower) ? PTR_ERR(lower) : vfs_fadvise(lower, offset, len, advice);
	mxfs_leave(sbi);
	return err;
}
