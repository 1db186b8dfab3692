// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: writing to files.
 */
#include <linux/blkdev.h>
#include <linux/pagemap.h>
#include "data/data.h"
#include "data/pin.h"
#include "enter.h"
#include "local/bind.h"
#include "pages/cache.h"

/*
 * A write that was to be on the disk when it returns tells an error of write-back that its descriptor has not told yet, as fsync would. The lower
 * file may be younger than the error (mxfs_carry_error()). One that failed for another reason did not get so far, and tells nothing of it:
 * that remains for who asks next. @told: the lower file has told one meanwhile. Return: what the write returns.
 */
ssize_t mxfs_heard(struct kiocb *iocb, ssize_t ret, bool told)
{
	struct file *file = iocb->ki_filp;

	if (ret <= 0 && !(told && filemap_check_wb_err(file->f_mapping, READ_ONCE(file->f_wb_err)) == ret))
		return ret;
	return file_check_and_advance_wb_err(file) ?: ret;
}

/* As mxfs_has_told(), of the last attempt of the write that has i_rwsem. */
static bool mxfs_take_told(struct file *file)
{
	struct mxfs_open *open = file->private_data;
	bool told = open && open->told;

	if (told)
		open->told = false;
	return told;
}

/* What is to be written; of what is appended, where it begins: it may be further behind when a queued write ends meanwhile. */
struct mxfs_range mxfs_write_range(const struct kiocb *iocb, const struct iov_iter *iter, const struct file *lower)
{
	if (iocb->ki_flags & IOCB_APPEND)
		return (struct mxfs_range){ i_size_read(file_inode(lower)), LLONG_MAX };
	return (struct mxfs_range){ iocb->ki_pos, iocb->ki_pos + iov_iter_count(iter) - 1 };
}

/* Pages of maps are out of the way of a write, and behind the end of a file that it makes longer are zeros. */
static noinline int mxfs_write_begin(struct kiocb *iocb, const struct iov_iter *iter, struct file *lower, struct mxfs_range *range)
{
	struct inode *inode = file_inode(iocb->ki_filp), *linode = file_inode(lower);
	int err;

	*range = mxfs_write_range(iocb, iter, lower);
	if (range->last >= i_size_read(linode))
		mxfs_cache_grow(inode, linode);
	err = mxfs_cache_drop_locked(inode, range->first, range->last);
	if (!err)
		mxfs_cache_hold(inode, range);
	return err;
}

/*
 * What mxfs_write_begin() had to leave is as below. A write that fails may have written all the same, when its sync fails: then the
 * position has moved. Any other has changed nothing, for where a page had to be left it goes through XFS's cache (mxfs_write_held()); what a
 * device has brought into that page meanwhile is not below.
 */
static noinline void mxfs_write_end(struct kiocb *iocb, struct file *lower, ssize_t ret)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	const struct mxfs_range *range = MXFS_I(inode)->changing;

	if (ret > 0)
		mxfs_cache_changed(inode, lower, iocb->ki_pos - ret, iocb->ki_pos - 1);
	else if (range && iocb->ki_pos > range->first)
		mxfs_cache_changed(inode, lower, range->first, iocb->ki_pos - 1);
	mxfs_cache_let_go(inode);
}

/*
 * A write while a page of its range stays above, which may be written back meanwhile: that reads the page below, from the disk if it has to, and
 * with what is on its way to the disk not in it. So O_DIRECT goes through XFS's cache, as it does on XFS where a page cannot be
 * dropped, unless XFS is to refuse it.
 */
static noinline ssize_t mxfs_write_held(struct kiocb *iocb, struct iov_iter *iter, struct file *lower)
{
	const struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	unsigned int mask = bdev_logical_block_size(file_bdev(sbi->device.pin)) - 1;
	int direct = iocb->ki_flags & IOCB_DIRECT;
	ssize_t ret;

	if (((iocb->ki_pos | iov_iter_count(iter)) & mask) || !mxfs_pin_fits(sbi, iter))
		direct = 0;
	iocb->ki_flags &= ~direct;
	ret = mxfs_rw_nofault(iocb, iter, lower, true);
	iocb->ki_flags |= direct;
	return ret;
}

/*
 * One attempt, with the pages of maps out of the way: none may be made, or made writable, between
 * dropping the old ones and the end of the write. It would hold, and later write back, what was
 * there before. @aio: the request that does it, or NULL when it is to be done at once, as it is also
 * where a page had to be left: that is held until the write is over.
 */
ssize_t mxfs_write_once(struct kiocb *iocb, struct iov_iter *iter, struct file *lower,
			       struct mxfs_aio *aio)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct address_space *mapping = inode->i_mapping;
	errseq_t since = READ_ONCE(lower->f_wb_err);
	bool held = false;
	struct mxfs_range range;
	ssize_t ret = 0;

	filemap_invalidate_lock(mapping);
	if (unlikely(mapping->nrpages)) {
		ret = mxfs_write_begin(iocb, iter, lower, &range);
		held = MXFS_I(inode)->changing;
	}
	if (likely(!ret)) {
		if (unlikely(held))
			ret = mxfs_write_held(iocb, iter, lower);
		else if (unlikely(aio))
			ret = mxfs_aio_write(aio, iter, lower, since);
		else
			ret = mxfs_rw_nofault(iocb, iter, lower, true);
	}
	if (unlikely(held || mapping->nrpages) && ret != -EIOCBQUEUED)
		mxfs_write_end(iocb, lower, ret);
	mxfs_copy_written(inode, file_inode(lower));
	/* What was heard of below while this was brought to the disk (generic_write_sync()) is not only this descriptor's to hear. */
	if (ret != -EIOCBQUEUED && unlikely(iocb_is_dsync(iocb))) {
		mxfs_carry_error(inode, file_inode(lower));
		((struct mxfs_open *)iocb->ki_filp->private_data)->told = mxfs_has_told(lower, since);
	}
	filemap_invalidate_unlock(mapping);
	return ret;
}

/* There may be no more written: the next piece would not be short, as the rest of one request is on XFS, but end in a signal. */
bool mxfs_at_limit(const struct kiocb *iocb)
{
	unsigned long limit = rlimit(RLIMIT_FSIZE);

	return limit != RLIM_INFINITY && iocb->ki_pos >= 0 && (u64)iocb->ki_pos >= limit;
}

/*
 * A page of user memory through the kernel's own: for a source that is a map of the very range that
 * is written, which is dropped again each time that it is faulted in. The copy takes page faults, so it is done outside
 * the gate.
 */
static ssize_t mxfs_copy_chunk(struct iov_iter *from, struct page **page)
{
	size_t bytes = min_t(size_t, iov_iter_count(from), PAGE_SIZE), copied;

	if (!*page)
		*page = alloc_page(GFP_KERNEL);
	if (!*page)
		return -ENOMEM;
	copied = copy_page_from_iter(*page, 0, bytes, from);
	return copied ? copied : -EFAULT;
}

/* One attempt inside the gate. */
static __always_inline ssize_t mxfs_write_entered(struct mxfs_sb *sbi, struct kiocb *iocb, struct iov_iter *from)
{
	struct file *lower;
	ssize_t ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower_file(iocb->ki_filp);
	if (IS_ERR(lower))
		ret = PTR_ERR(lower);
	else
		ret = mxfs_write_once(iocb, from, lower, NULL);
	mxfs_leave(sbi);
	return ret;
}

static ssize_t mxfs_write_chunk(struct mxfs_sb *sbi, struct kiocb *iocb, struct iov_iter *from, struct page **page)
{
	ssize_t copied = mxfs_copy_chunk(from, page), ret;
	struct iov_iter iter;
	struct bio_vec bvec;

	if (copied < 0)
		return copied;
	bvec_set_page(&bvec, *page, copied, 0);
	iov_iter_bvec(&iter, ITER_SOURCE, &bvec, 1, copied);
	ret = mxfs_write_entered(sbi, iocb, &iter);
	/* What was copied and not written is still the caller's. */
	iov_iter_revert(from, copied - max_t(ssize_t, ret, 0));
	return ret;
}

/*
 * A write whose source was not all in memory, after the attempt that found that out. @total: what has
 * been written already.
 */
static noinline ssize_t mxfs_write_on(struct mxfs_sb *sbi, struct kiocb *iocb, struct iov_iter *from, ssize_t total)
{
	struct page *page = NULL;
	size_t chunk;
	ssize_t ret;

	do {
		chunk = min_t(size_t, iov_iter_count(from), MXFS_FAULT_IN_MAX);
		if (fault_in_iov_iter_readable(from, chunk) == chunk) {
			ret = -EFAULT;
			break;
		}
		ret = mxfs_write_entered(sbi, iocb, from);
		if (ret == -EFAULT)
			ret = mxfs_write_chunk(sbi, iocb, from, &page);
		if (ret <= 0)
			break;
		total += ret;
		if (fatal_signal_pending(current) || mxfs_at_limit(iocb))
			break;
	} while (iov_iter_count(from));
	if (page)
		put_page(page);
	return total ?: ret;
}

ssize_t mxfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = mxfs_file_sb(file);
	bool is_pinned;
	ssize_t ret;

	if (!iov_iter_count(from))
		return 0;
	/* Locks, and the pages of maps, would have to be waited for. */
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	is_pinned = (iocb->ki_flags & (IOCB_APPEND | IOCB_DIRECT)) && user_backed_iter(from);
	/* Written in one piece, if nothing takes it away again. */
	if (!is_pinned)
		fault_in_iov_iter_readable(from, min_t(size_t, iov_iter_count(from), MXFS_WHOLE_MAX));
	/* Whoever has it may wait for ownership. */
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	if (iocb->ki_flags & IOCB_DIRECT) {
		ret = mxfs_direct(iocb, from, true);
	} else if (is_pinned) {
		ret = mxfs_rw_pinned(iocb, from, true);
	} else {
		/* Most often all of the source is in memory. */
		ret = mxfs_write_entered(sbi, iocb, from);
		if (unlikely((ret == -EFAULT || ret > 0) && iov_iter_count(from) && user_backed_iter(from) &&
			     !fatal_signal_pending(current)))
			ret = mxfs_write_on(sbi, iocb, from, max_t(ssize_t, ret, 0));
	}
	if (ret > 0)
		this_cpu_add(sbi->cpu->bytes_written, ret);
	if (ret != -EIOCBQUEUED && unlikely(iocb_is_dsync(iocb)))
		ret = mxfs_heard(iocb, ret, mxfs_take_told(file));
	inode_unlock(inode);
	return ret;
}
