// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: requests whose memory is pinned first: O_DIRECT, asynchronous or not, and what is appended.
 */
#include <linux/aio.h>
#include <linux/blkdev.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "compat.h"
#include "data/data.h"
#include "data/pin.h"
#include "enter.h"
#include "local/bind.h"
#include "pages/cache.h"

#define MXFS_DIRECT_PIECE SZ_256K /* what fits, of whole sectors wherever they are, is pinned at once */

static struct kmem_cache *mxfs_aio_cachep;

/* An asynchronous O_DIRECT request on its way; counted in sbi->bind.draining. */
struct mxfs_aio {
	struct kiocb lower;
	struct kiocb *upper;
	struct work_struct work;
	long res;
	struct mxfs_range range; /* of a write */
	errseq_t since; /* what the lower file had told when a write began */
	struct mxfs_pin pin;
};

/* Ends of asynchronous writes, which may wait for the disk; and of reads, which may wait for whoever has locked a page of user memory. */
static struct workqueue_struct *mxfs_written_wq, *mxfs_read_wq;

int mxfs_direct_create(void)
{
	/* Not shared with a later cache of the same size, which would keep it, and its name, after us. */
	mxfs_aio_cachep = KMEM_CACHE(mxfs_aio, SLAB_NO_MERGE);
	mxfs_written_wq = alloc_workqueue("mxfs-written", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	mxfs_read_wq = alloc_workqueue("mxfs-read", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (mxfs_aio_cachep && mxfs_written_wq && mxfs_read_wq)
		return 0;
	mxfs_direct_destroy();
	return -ENOMEM;
}

void mxfs_direct_destroy(void)
{
	if (mxfs_read_wq)
		destroy_workqueue(mxfs_read_wq);
	if (mxfs_written_wq)
		destroy_workqueue(mxfs_written_wq);
	kmem_cache_destroy(mxfs_aio_cachep);
}

static int mxfs_enter_or(struct mxfs_sb *sbi, bool nowait)
{
	return likely(mxfs_try_enter(sbi)) ? 0 : nowait ? -EAGAIN : mxfs_enter_slow(sbi);
}

static void mxfs_aio_free(struct mxfs_aio *aio)
{
	if (aio->pin.vec)
		mxfs_unpin(&aio->pin);
	kmem_cache_free(mxfs_aio_cachep, aio);
}

/*
 * Below it is over; of reads also from an interrupt. Before the pages are let go of: one that was cleaned meanwhile may be locked by who
 * never answers.
 */
static void mxfs_aio_leave(struct mxfs_aio *aio)
{
	struct kiocb *upper = aio->upper;
	struct inode *inode = file_inode(upper->ki_filp);
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	if (aio->lower.ki_flags & IOCB_WRITE)
		inode_dio_end(inode);
	upper->ki_pos = aio->lower.ki_pos;
	WRITE_ONCE(sbi->last_op, jiffies);
	mxfs_drain_put(sbi);
}

static void mxfs_aio_end(struct mxfs_aio *aio)
{
	struct kiocb *upper = aio->upper;
	long res = aio->res;

	mxfs_aio_free(aio);
	upper->ki_complete(upper, res);
}

static void mxfs_aio_read_workfn(struct work_struct *work)
{
	mxfs_aio_end(container_of(work, struct mxfs_aio, work));
}

/* @cached: there were pages above when it ended; who comes later reads what it wrote. */
static void mxfs_aio_written(struct mxfs_aio *aio, bool cached)
{
	struct inode *inode = file_inode(aio->upper->ki_filp);
	struct file *lower = aio->lower.ki_filp;

	kiocb_end_write(&aio->lower);
	/* A map made meanwhile may have read what was there before. What failed may have written all the same. */
	if (unlikely(cached) && aio->res > 0)
		mxfs_cache_changed(inode, lower, aio->lower.ki_pos - aio->res, aio->lower.ki_pos - 1);
	else if (unlikely(cached) && aio->lower.ki_pos > aio->range.first) /* its sync (fs/iomap/direct-io.c: iomap_dio_complete()) */
		mxfs_cache_changed(inode, lower, aio->range.first, aio->lower.ki_pos - 1);
	else if (unlikely(cached))
		mxfs_cache_failed(inode, aio->range.first, aio->range.last);
	mxfs_copy_written(inode, file_inode(lower));
	if (iocb_is_dsync(aio->upper)) {
		mxfs_carry_error(inode, file_inode(lower));
		aio->res = mxfs_heard(aio->upper, aio->res, mxfs_has_told(lower, aio->since));
	}
	mxfs_aio_leave(aio);
	mxfs_aio_end(aio);
}

static void mxfs_aio_written_workfn(struct work_struct *work)
{
	mxfs_aio_written(container_of(work, struct mxfs_aio, work), true);
}

/* May be called from an interrupt; attributes and the end of a write want a task. */
static void mxfs_aio_complete(struct kiocb *iocb, long res)
{
	struct mxfs_aio *aio = container_of(iocb, struct mxfs_aio, lower);

	aio->res = res;
	if (iocb->ki_flags & IOCB_WRITE) {
		/* XFS ends writes in a worker of its own (s_dio_done_wq), which this may use as long as it has nothing to wait for. */
		if (in_task() && !file_inode(aio->upper->ki_filp)->i_mapping->nrpages) {
			mxfs_aio_written(aio, false);
			return;
		}
		INIT_WORK(&aio->work, mxfs_aio_written_workfn);
		queue_work(mxfs_written_wq, &aio->work);
		return;
	}
	mxfs_aio_leave(aio);
	if (!aio->pin.vec || mxfs_pin_is_dirty(&aio->pin)) {
		aio->pin.dirty = false;
		mxfs_aio_end(aio);
		return;
	}
	INIT_WORK(&aio->work, mxfs_aio_read_workfn);
	queue_work(mxfs_read_wq, &aio->work);
}

/*
 * The lower file must stay open until it is done: detaching waits for sbi->bind.draining. Who sets the size waits for writes, of
 * which none begins while he has i_rwsem (mxfs_setattr_inside()). Return: as write_iter(), and with -EIOCBQUEUED the request is
 * not ours any more.
 */
static ssize_t mxfs_aio_submit(struct mxfs_aio *aio, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(aio->upper->ki_filp);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	ssize_t ret;

	mxfs_drain_get(sbi);
	if (write)
		inode_dio_begin(inode);
	ret = mxfs_call_lower(&aio->lower, iter, write);
	if (ret != -EIOCBQUEUED) {
		aio->upper->ki_pos = aio->lower.ki_pos;
		if (write)
			inode_dio_end(inode);
		mxfs_drain_put(sbi);
	}
	return ret;
}

/* The write of mxfs_write_once(), with invalidate_lock held: as mxfs_aio_submit(). @since: what the lower file had told before it */
ssize_t mxfs_aio_write(struct mxfs_aio *aio, struct iov_iter *iter, struct file *lower, errseq_t since)
{
	aio->range = mxfs_write_range(aio->upper, iter, lower);
	aio->since = since;
	return mxfs_aio_submit(aio, iter, true);
}

/* Inside the gate. @aio: as for mxfs_write_once() */
static ssize_t mxfs_direct_once(struct kiocb *iocb, struct iov_iter *iter, bool write, struct mxfs_aio *aio)
{
	struct file *file = iocb->ki_filp, *lower;
	struct mxfs_open *open = READ_ONCE(file->private_data);
	ssize_t ret;

	/* To find the file below, and to write pages of maps, takes reading and writing. */
	if ((iocb->ki_flags & IOCB_NOWAIT) && (!open || !READ_ONCE(open->lower) || file->f_mapping->nrpages))
		return -EAGAIN;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (aio) {
		mxfs_clone_iocb(&aio->lower, iocb, lower);
		aio->lower.ki_complete = mxfs_aio_complete;
		/* For mxfs_aio_complete(); not every caller in the kernel says so (drivers/block/loop.c). */
		if (write)
			aio->lower.ki_flags |= IOCB_WRITE;
	}
	if (write)
		return mxfs_write_once(iocb, iter, lower, aio);
	/* Before, because a request that is queued may be over, and its file closed, at any time. */
	mxfs_accessed(file, file->private_data, lower);
	ret = mxfs_cache_flush(file_inode(file), iocb->ki_pos, iocb->ki_pos + iov_iter_count(iter) - 1);
	if (ret)
		return ret;
	return aio ? mxfs_aio_submit(aio, iter, false) : mxfs_rw_nofault(iocb, iter, lower, false);
}

/*
 * O_DIRECT that returns before it is done. More than can be pinned at a time is not begun, but has to be done
 * @at_once. Return: as read_iter().
 */
static ssize_t mxfs_direct_async(struct kiocb *iocb, struct iov_iter *iter, bool write, bool *at_once)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(iocb->ki_filp));
	struct mxfs_aio *aio = kmem_cache_alloc(mxfs_aio_cachep, GFP_KERNEL);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	struct iov_iter *pinned = iter;
	ssize_t ret;

	if (!aio)
		return -ENOMEM;
	aio->upper = iocb;
	aio->pin.vec = NULL;
	if (user_backed_iter(iter)) {
		ret = mxfs_pin_and_enter(iocb, &aio->pin, iter, write, false);
		if (ret) {
			kmem_cache_free(mxfs_aio_cachep, aio);
			*at_once = ret > 0;
			return ret;
		}
		if (iov_iter_count(iter)) {
			iov_iter_revert(iter, aio->pin.bytes);
			aio->pin.dirty = false;
			*at_once = true;
			ret = 0;
			goto out;
		}
		pinned = &aio->pin.iter;
	} else {
		ret = mxfs_enter_or(sbi, nowait);
		if (ret) {
			kmem_cache_free(mxfs_aio_cachep, aio);
			return ret;
		}
	}
	ret = mxfs_direct_once(iocb, pinned, write, aio);
out:
	mxfs_leave(sbi);
	if (ret != -EIOCBQUEUED)
		mxfs_aio_free(aio);
	return ret;
}

/* A part of a request whose memory is pinned first. Return: bytes; @more: all of the memory was used, and there may be more. */
static ssize_t mxfs_rw_pinned_once(struct kiocb *iocb, struct iov_iter *iter, bool write, bool *more)
{
	struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	struct mxfs_pin pin;
	ssize_t ret, got;

	ret = mxfs_pin_and_enter(iocb, &pin, iter, write, true);
	if (ret)
		return ret;
	ret = mxfs_direct_once(iocb, &pin.iter, write, NULL);
	mxfs_leave(sbi);
	*more = ret == pin.bytes;
	if (unlikely(pin.copied && !write)) {
		iov_iter_revert(iter, pin.bytes);
		got = ret > 0 ? mxfs_pin_copy_out(&pin, iter, ret) : ret;
		if (got < ret) {
			iocb->ki_pos -= ret - got;
			ret = got ? got : -EFAULT;
			*more = false;
		}
	} else if (!*more) {
		iov_iter_revert(iter, pin.bytes - max_t(ssize_t, ret, 0));
	}
	mxfs_unpin(&pin);
	return ret;
}

/* A request whose memory is pinned first: O_DIRECT, and what is appended. */
ssize_t mxfs_rw_pinned(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	ssize_t total = 0, ret;
	bool more = false;

	do {
		ret = mxfs_rw_pinned_once(iocb, iter, write, &more);
		if (ret <= 0)
			break;
		total += ret;
		if (write && unlikely(mxfs_at_limit(iocb)))
			break;
	} while (more && iov_iter_count(iter) && !fatal_signal_pending(current));
	return total ?: ret;
}

/*
 * XFS looks at all of a request before it does some: at its length, once without and once with what may not be written
 * (generic_write_checks()), and at the memory. Where it begins is looked at with the first piece.
 */
static bool mxfs_direct_fits(const struct kiocb *iocb, const struct iov_iter *iter, bool write)
{
	const struct file *file = iocb->ki_filp;
	struct block_device *bdev = file_bdev(mxfs_file_sb(file)->device.pin);
	u64 most = file->f_flags & O_LARGEFILE ? file_inode(file)->i_sb->s_maxbytes : MAX_NON_LFS;
	u64 mask = bdev_logical_block_size(bdev) - 1;
	struct iov_iter all = *iter;

	/* Nothing is read there, whatever it is. */
	if (!write && iocb->ki_pos >= i_size_read(file_inode(file)))
		return true;
	if (iov_iter_count(&all) & mask)
		return false;
	if (write && rlimit(RLIMIT_FSIZE) != RLIM_INFINITY)
		most = min_t(u64, most, rlimit(RLIMIT_FSIZE));
	if (write && !(iocb->ki_flags & IOCB_APPEND) && iocb->ki_pos < most)
		iov_iter_truncate(&all, most - iocb->ki_pos);
	return !(iov_iter_count(&all) & mask) && mxfs_iter_fits(bdev, &all);
}

/* O_DIRECT. What the kernel itself asks for has its pages already. */
noinline ssize_t mxfs_direct(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(iocb->ki_filp));
	bool at_once = false, nowait = iocb->ki_flags & IOCB_NOWAIT;
	ssize_t ret;

	/* It may take more than one piece. */
	if (unlikely(iov_iter_count(iter) > MXFS_DIRECT_PIECE) && user_backed_iter(iter) && !mxfs_direct_fits(iocb, iter, write))
		return -EINVAL;
	if (!is_sync_kiocb(iocb)) {
		ret = mxfs_direct_async(iocb, iter, write, &at_once);
		if (!at_once)
			return ret;
		if (nowait)
			return -EAGAIN;
	}
	if (user_backed_iter(iter))
		return mxfs_rw_pinned(iocb, iter, write);
	ret = mxfs_enter_or(sbi, nowait);
	if (ret)
		return ret;
	ret = mxfs_direct_once(iocb, iter, write, NULL);
	mxfs_leave(sbi);
	return ret;
}
