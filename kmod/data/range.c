// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: what is done to a range of a file at once: fallocate, copy, clone, dedupe.
 */
#include <linux/fs.h> /* falloc.h wants it first */
#include <linux/falloc.h>
#include <linux/pagemap.h>
#include <linux/splice.h>
#include "data/data.h"
#include "enter.h"
#include "local/bind.h"
#include "pages/cache.h"

#define MXFS_COPY_PIECE SZ_32M /* what is done in one stay inside the gate */

/* XFS refuses something, and has changed nothing. */
static bool mxfs_is_refused(ssize_t err)
{
	switch (err) {
	case -EAGAIN:
	case -EFAULT:
	case -EFBIG:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -EPERM:
	case -ETXTBSY:
		return true;
	}
	return false;
}

/* Under i_rwsem. @end: of the whole, which the size will be behind. */
static long mxfs_fallocate_piece(struct file *file, int mode, loff_t offset, loff_t len, loff_t end)
{
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	bool keeps = !(mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE));
	bool moves = mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE); /* everything behind the offset */
	struct mxfs_range range = { offset, moves ? LLONG_MAX : offset + len - 1 };
	struct file *lower;
	long err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	err = end ? mxfs_refresh_attr(inode) ?: inode_newsize_ok(inode, end) : 0;
	if (err)
		goto out;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	filemap_invalidate_lock(inode->i_mapping);
	if (offset + len > i_size_read(file_inode(lower)) && !(mode & FALLOC_FL_KEEP_SIZE))
		mxfs_cache_grow(inode, file_inode(lower));
	if (!keeps)
		err = mxfs_cache_drop_locked(inode, range.first, range.last);
	if (err)
		goto out_cache;
	if (!keeps)
		mxfs_cache_hold(inode, &range);
	err = vfs_fallocate(lower, mode, offset, len);
	if (!keeps && !mxfs_is_refused(err)) {
		mxfs_cache_cut(inode, i_size_read(file_inode(lower)));
		/* What moved before it failed is nowhere else: no page may be written over it. */
		if (!err || moves)
			mxfs_cache_changed(inode, lower, range.first, range.last);
		else
			mxfs_cache_failed(inode, range.first, range.last);
	}
	mxfs_cache_let_go(inode);
	mxfs_copy_attr(inode, file_inode(lower));
out_cache:
	filemap_invalidate_unlock(inode->i_mapping);
out:
	mxfs_leave(sbi);
	return err;
}

/*
 * How much of it at a time. XFS reserves the blocks of one extent at a time, and keeps what it has got when there are too few for
 * the next: as much, so that a volume that is too small is found out as soon (xfs_alloc_file_space()). What frees has many extents
 * to look at.
 */
static loff_t mxfs_fallocate_most(const struct inode *inode, int mode)
{
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return SZ_1G;
	/* It copies data. */
	if (mode & FALLOC_FL_UNSHARE_RANGE)
		return MXFS_COPY_PIECE;
	return (loff_t)inode->i_sb->s_blocksize << 21; /* XFS_MAX_BMBT_EXTLEN */
}

/*
 * A change of owner waits for who is inside the gate, so what may be long is done in pieces. What moves the rest of the file
 * (collapse, insert) cannot be; it is changes of the tree of extents, and no data. The size changes with the last piece: what
 * fails before has changed no more of the file than it has on XFS.
 */
long mxfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	loff_t end = mode & FALLOC_FL_KEEP_SIZE ? 0 : offset + len, most, piece;
	long err = 0;

	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	most = mxfs_fallocate_most(inode, mode);
	if (!(mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_UNSHARE_RANGE)))
		while (!err && len > most) {
			piece = most - offset % most;
			err = mxfs_fallocate_piece(file, mode | FALLOC_FL_KEEP_SIZE, offset, piece, end);
			offset += piece;
			len -= piece;
			if (fatal_signal_pending(current))
				err = err ?: -EINTR;
		}
	if (!err)
		err = mxfs_fallocate_piece(file, mode, offset, len, 0);
	inode_unlock(inode);
	return err;
}

enum mxfs_transfer { MXFS_COPY, MXFS_CLONE, MXFS_DEDUPE };

/* As lock_two_nondirectories(), which cannot be killed. */
static int mxfs_lock_two(struct inode *a, struct inode *b)
{
	if (a > b)
		swap(a, b);
	if (down_write_killable(&a->i_rwsem))
		return -EINTR;
	if (a == b || !down_write_killable_nested(&b->i_rwsem, I_MUTEX_NONDIR2))
		return 0;
	inode_unlock(a);
	return -EINTR;
}

/* Both files are locked. */
static loff_t mxfs_transfer_piece(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			    loff_t len, unsigned int flags, enum mxfs_transfer how)
{
	struct inode *inode_in = file_inode(in), *inode_out = file_inode(out);
	struct mxfs_sb *sbi = MXFS_ISB(inode_out);
	/* All behind it, for a clone of all that there is. */
	struct mxfs_range range = { pos_out, len ? pos_out + len - 1 : LLONG_MAX };
	struct file *lower_in, *lower_out;
	loff_t ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower_in = mxfs_lower_file(in);
	lower_out = mxfs_lower_file(out);
	if (IS_ERR(lower_in) || IS_ERR(lower_out)) {
		ret = PTR_ERR(IS_ERR(lower_in) ? lower_in : lower_out);
		goto out;
	}
	filemap_invalidate_lock_two(inode_in->i_mapping, inode_out->i_mapping);
	mxfs_cache_grow(inode_out, file_inode(lower_out));
	ret = mxfs_cache_drop_locked(inode_in, 0, LLONG_MAX);
	if (!ret)
		ret = mxfs_cache_drop_locked(inode_out, 0, LLONG_MAX);
	if (ret)
		goto out_caches;
	mxfs_cache_hold(inode_out, &range);
	switch (how) {
	case MXFS_COPY:
		ret = vfs_copy_file_range(lower_in, pos_in, lower_out, pos_out, len, flags);
		mxfs_accessed(in, in->private_data, lower_in);
		break;
	case MXFS_CLONE:
		ret = vfs_clone_file_range(lower_in, pos_in, lower_out, pos_out, len, flags);
		break;
	case MXFS_DEDUPE:
		ret = vfs_dedupe_file_range_one(lower_in, pos_in, lower_out, pos_out, len, flags);
		break;
	}
	/* A dedupe changes no byte. What fails may have copied, or cloned, some of it. */
	if (ret > 0 && how != MXFS_DEDUPE)
		mxfs_cache_changed(inode_out, lower_out, pos_out, pos_out + ret - 1);
	else if (ret < 0 && how != MXFS_DEDUPE && !mxfs_is_refused(ret))
		mxfs_cache_failed(inode_out, range.first, range.last);
	mxfs_cache_let_go(inode_out);
	mxfs_copy_attr(inode_out, file_inode(lower_out));
out_caches:
	filemap_invalidate_unlock_two(inode_in->i_mapping, inode_out->i_mapping);
out:
	mxfs_leave(sbi);
	return ret;
}

/*
 * copy_file_range, clone and dedupe within one volume: XFS does it, between the two lower files. Copies are long, and are made
 * in pieces; a clone moves no data.
 */
static loff_t mxfs_transfer(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			    loff_t len, unsigned int flags, enum mxfs_transfer how)
{
	struct inode *inode_in = file_inode(in), *inode_out = file_inode(out);
	loff_t done = 0, piece, ret;

	ret = mxfs_lock_two(inode_in, inode_out);
	if (ret)
		return ret;
	do {
		piece = how == MXFS_COPY ? min_t(loff_t, len - done, MXFS_COPY_PIECE) : len;
		ret = mxfs_transfer_piece(in, pos_in + done, out, pos_out + done, piece, flags, how);
		if (ret > 0)
			done += ret;
	} while (how == MXFS_COPY && ret == piece && done < len && !fatal_signal_pending(current));
	unlock_two_nondirectories(inode_in, inode_out);
	return done ?: ret;
}

ssize_t mxfs_copy_file_range(struct file *in, loff_t pos_in, struct file *out,
				    loff_t pos_out, size_t len, unsigned int flags)
{
	if (file_inode(in)->i_sb != file_inode(out)->i_sb)
		return splice_copy_file_range(in, pos_in, out, pos_out, len);
	return mxfs_transfer(in, pos_in, out, pos_out, len, flags, MXFS_COPY);
}

loff_t mxfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out,
				    loff_t pos_out, loff_t len, unsigned int flags)
{
	if (flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	return mxfs_transfer(in, pos_in, out, pos_out, len, flags & ~REMAP_FILE_DEDUP,
			     flags & REMAP_FILE_DEDUP ? MXFS_DEDUPE : MXFS_CLONE);
}
