// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: mapped files.
 *
 * A map must survive a change of owner, so its pages cannot be XFS's: a lower file in vm_file would
 * keep XFS busy until munmap. Mapped files have a page cache of their own above. It is filled from,
 * and written back to, the lower file's page cache; read(2) and write(2) go to the lower file
 * always, after the pages above have been written back or dropped. This works for every file XFS has
 * (reflinked and realtime ones too, which exportfs block maps refuse), and a file may become
 * reflinked while it is mapped.
 *
 * A store is to XFS what a store through a map of its own is. What XFS does at a store it does at the store here:
 * page_mkwrite() calls XFS's for the lower page, which reserves space and quota (so that a full file system is
 * a SIGBUS there, and not a lost page at write-back), and moves the times. Writing back is the same call for the
 * same page, which then takes the content. It is not write(2): no limit on the size of files, no privilege to be
 * taken away, no time to be moved, no flag of the file is looked at, because whoever triggers it is seldom who
 * stored. A worker does it, which no signal can end in the middle and whose memory is nobody's in particular.
 *
 * Coherence:
 *
 *	write(2), truncate, fallocate and clone hold invalidate_lock exclusively from dropping the
 *	pages to the end of the change; faults that miss and page_mkwrite hold it shared;
 *
 *	a page that somebody has pinned for I/O, which may write to it at any time, is not dropped by them but made to
 *	hold what they wrote, as one of XFS's would; until it does, write-back leaves what they change alone, and who
 *	needs that below, too, waits for the end of the change (mxfs_cache_left_out());
 *
 *	a change that failed takes nothing away from a page that was stored into, or may be by who has pinned it;
 *
 *	write-back never extends the file: it is bounded by the size above, which changes only
 *	together with the one below; and what a page holds behind the end is zeroed before the file grows.
 */
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include "compat.h"
#include "enter.h"
#include "local/bind.h"
#include "pages/cache.h"

#define MXFS_PUSH_TRIES 50 /* for a page that memory is short for, about 20 ms apart */
#define MXFS_PINS_MAX (5 * HZ) /* a detach waits so long for I/O from and to pages of maps */
#define MXFS_PINS_AGAIN (60 * HZ) /* but for as long after one that has waited in vain */
#define MXFS_PINS_SHORT (HZ / 2) /* only so long */
#define MXFS_PINS_LOOK (HZ / 100) /* and looks so often */
#define MXFS_PINS_STILL (HZ / 25) /* for the first time without new ones */
#define MXFS_UNMAP_LOOK (HZ / 10) /* looks at pages that stay locked are no further apart */

/**
 * mxfs_cache_attach - prepare for pages, once XFS is mounted
 * @sbi: the mount, attaching
 *
 * Pages go through a second mount of XFS, which is read-only: file_update_time() leaves the times of a
 * file alone that was opened over one. (FMODE_NOCMTIME is about write(2) only.)
 *
 * Return: 0 or -errno.
 */
int mxfs_cache_attach(struct mxfs_sb *sbi)
{
	struct fs_context *fc;
	struct vfsmount *mnt;

	/* There is no other way to a second mount of a superblock that is in no mount namespace. */
	fc = fs_context_for_reconfigure(sbi->lower->mnt_root, SB_KERNMOUNT, SB_KERNMOUNT);
	if (IS_ERR(fc))
		return PTR_ERR(fc);
	mnt = vfs_create_mount(fc);
	put_fs_context(fc);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	mnt->mnt_flags |= MNT_READONLY | MNT_NOATIME;
	sbi->pages.quiet = mnt;
	return 0;
}

/* Its counterpart, before XFS is unmounted and after the last lower file was closed. */
void mxfs_cache_detach(struct mxfs_sb *sbi)
{
	if (sbi->pages.quiet)
		mntput(sbi->pages.quiet);
	sbi->pages.quiet = NULL;
}

/* The lower file that pages go through. Inside the fault or write-back gate. */
static struct file *mxfs_cache_file(struct inode *inode)
{
	return mxfs_open_lower(&MXFS_I(inode)->wb, MXFS_ISB(inode)->pages.quiet, O_RDONLY | O_NOATIME);
}

static size_t mxfs_folio_bytes(struct inode *inode, struct folio *folio)
{
	loff_t left = i_size_read(inode) - folio_pos(folio);

	return left <= 0 ? 0 : min_t(loff_t, left, folio_size(folio));
}

static void mxfs_account_mapped(struct mxfs_sb *sbi, size_t bytes, bool write)
{
	spin_lock(&sbi->stats_lock);
	if (write)
		sbi->stats.mapped_bytes_written += bytes;
	else
		sbi->stats.mapped_bytes_read += bytes;
	spin_unlock(&sbi->stats_lock);
}

/* Part of a folio as the lower file has it. Straight from XFS: rw_verify_area() is for what a user asks for. */
static int mxfs_read_below(struct file *lower, struct folio *folio, size_t offset, size_t bytes)
{
	struct iov_iter iter;
	struct bio_vec bvec;
	struct kiocb iocb;
	unsigned int nofs;
	ssize_t ret;

	bvec_set_folio(&bvec, folio, bytes, offset);
	iov_iter_bvec(&iter, ITER_DEST, &bvec, 1, bytes);
	init_sync_kiocb(&iocb, lower);
	iocb.ki_pos = folio_pos(folio) + offset;
	/* Reclaim must not come back here for a page that waits for this one. */
	nofs = memalloc_nofs_save();
	ret = lower->f_op->read_iter(&iocb, &iter);
	memalloc_nofs_restore(nofs);
	if (ret < 0)
		return ret;
	/* Shorter when the size above is older, or the reader is killed: not up to date, to be read again. */
	return ret == bytes ? 0 : -EIO;
}

static int mxfs_fill_folio(struct inode *inode, struct folio *folio)
{
	struct file *lower;
	size_t bytes;
	int err;

	/* Who comes by another way than mxfs_fault() (uprobes) has not asked for the size of this attach. */
	err = mxfs_refresh_attr(inode);
	if (err)
		return err;
	bytes = mxfs_folio_bytes(inode, folio);
	if (bytes) {
		lower = mxfs_cache_file(inode);
		err = IS_ERR(lower) ? PTR_ERR(lower) : mxfs_read_below(lower, folio, 0, bytes);
		if (err)
			return err;
		mxfs_account_mapped(MXFS_ISB(inode), bytes, false);
	}
	folio_zero_segment(folio, bytes, folio_size(folio));
	return 0;
}

/*
 * The lower page, as after a fault for writing in a map of the lower file: space reserved, dirty, and with
 * VM_FAULT_LOCKED locked and referenced.
 */
static vm_fault_t mxfs_lower_mkwrite(struct file *lower, pgoff_t index, struct page **page)
{
	struct vm_area_struct vma = { .vm_file = lower };
	struct vm_fault vmf = { .vma = &vma, .pgoff = index };
	struct folio *folio;
	vm_fault_t ret;
	int err;

	/* Persistent memory has no pages to take the content. */
	if (IS_DAX(file_inode(lower)))
		return VM_FAULT_SIGBUS;
	err = mxfs_map_lower(lower, &vma);
	if (err || WARN_ON_ONCE(!vma.vm_ops || !vma.vm_ops->page_mkwrite))
		return VM_FAULT_SIGBUS;
	folio = read_mapping_folio(lower->f_mapping, index, lower);
	if (IS_ERR(folio))
		return vmf_error(PTR_ERR(folio));
	vmf.page = folio_file_page(folio, index);
	ret = vma.vm_ops->page_mkwrite(&vmf);
	*page = vmf.page;
	if (!(ret & VM_FAULT_LOCKED))
		folio_put(folio);
	return ret;
}

static void mxfs_put_locked(struct page *page)
{
	struct folio *folio = page_folio(page);

	folio_unlock(folio);
	folio_put(folio);
}

/* What a store changes below, before it happens. The folio is clean or not, and not locked. */
static vm_fault_t mxfs_reserve_below(struct inode *inode, struct folio *folio)
{
	struct file *lower = mxfs_cache_file(inode);
	struct timespec64 now, mtime, ctime;
	struct inode *linode;
	struct page *page;
	unsigned int nofs;
	vm_fault_t ret;

	if (IS_ERR(lower))
		return vmf_error(PTR_ERR(lower));
	linode = file_inode(lower);
	nofs = memalloc_nofs_save();
	/*
	 * file_update_time(), by the mount that is not read-only; as in fs/xfs/xfs_file.c (xfs_write_fault()) not while XFS is frozen: with lazytime
	 * it only makes the inode dirty, and sync(2) would wait for the end of that with s_umount, which thaw_super() needs.
	 */
	sb_start_pagefault(linode->i_sb);
	now = current_time(linode);
	mtime = inode_get_mtime(linode);
	ctime = inode_get_ctime(linode);
	if (!timespec64_equal(&now, &mtime) || !timespec64_equal(&now, &ctime))
		inode_update_time(linode, S_MTIME | S_CTIME);
	sb_end_pagefault(linode->i_sb);
	ret = mxfs_lower_mkwrite(lower, folio->index, &page);
	memalloc_nofs_restore(nofs);
	if (ret & VM_FAULT_LOCKED)
		mxfs_put_locked(page);
	return ret;
}

/* The content of a folio goes below, but for what lies from @from to @to. By a worker. */
static int mxfs_push_folio(struct inode *inode, struct folio *folio, size_t bytes, size_t from, size_t to)
{
	struct file *lower = mxfs_cache_file(inode);
	struct page *page;
	vm_fault_t ret;
	int try;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	for (try = 0;; try++) {
		ret = mxfs_lower_mkwrite(lower, folio->index, &page);
		if (ret & VM_FAULT_LOCKED)
			break;
		if ((ret & VM_FAULT_SIGBUS) || try == MXFS_PUSH_TRIES)
			return ret & VM_FAULT_OOM ? -ENOMEM : -EIO;
		if (ret & VM_FAULT_OOM)
			memalloc_retry_wait(GFP_NOFS);
	}
	from = min(from, bytes);
	to = min(to, bytes);
	memcpy_page(page, 0, folio_page(folio, 0), 0, from);
	memcpy_page(page, to, folio_page(folio, 0), to, bytes - to);
	flush_dcache_page(page);
	mxfs_put_locked(page);
	mxfs_account_mapped(MXFS_ISB(inode), bytes - (to - from), true);
	return 0;
}

/* Detaching looks for pages in these inodes only. */
static void mxfs_mark_cached(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);

	if (likely(!list_empty_careful(&mi->cached_entry)))
		return;
	spin_lock(&sbi->bind.lock);
	if (list_empty(&mi->cached_entry))
		list_add_tail(&mi->cached_entry, &sbi->pages.inodes);
	spin_unlock(&sbi->bind.lock);
}

/*
 * Reads come from faults, which hold the fault gate, and from madvise and readahead(2), which hold
 * nothing: the write-back gate is the one to look at. Not the fault gate again: a fault that is inside
 * while detaching closes it must be served, or its process gets a SIGBUS for a file that is fine. Detaching
 * drops the pages after the write-back gate is closed.
 */
static int mxfs_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	int err = -EIO;

	if (mxfs_gate_enter(&sbi->wb_gate)) {
		mxfs_mark_cached(inode);
		err = mxfs_fill_folio(inode, folio);
		mxfs_gate_leave(&sbi->wb_gate);
	}
	folio_end_read(folio, !err);
	return err;
}

static void mxfs_readahead(struct readahead_control *rac)
{
	struct inode *inode = rac->mapping->host;
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct folio *folio;

	/* Folios that are left alone are dropped by the caller. */
	if (!mxfs_gate_enter(&sbi->wb_gate))
		return;
	mxfs_mark_cached(inode);
	while ((folio = readahead_folio(rac)))
		folio_end_read(folio, !mxfs_fill_folio(inode, folio));
	mxfs_gate_leave(&sbi->wb_gate);
}

/* Of a folio, what is being changed below. Return: whether there is some. */
static bool mxfs_folio_changing(struct inode *inode, struct folio *folio, size_t *from, size_t *to)
{
	loff_t pos = folio_pos(folio), end = pos + folio_size(folio);
	const struct mxfs_range *range;
	bool found;

	*from = *to = folio_size(folio);
	spin_lock(&inode->i_lock);
	range = MXFS_I(inode)->changing;
	found = range && range->first < end && range->last >= pos;
	if (unlikely(found)) {
		*from = max(range->first, pos) - pos;
		*to = min(range->last, end - 1) + 1 - pos;
	}
	spin_unlock(&inode->i_lock);
	return found;
}

static int mxfs_write_folio(struct inode *inode, struct folio *folio, struct writeback_control *wbc)
{
	size_t bytes = mxfs_folio_bytes(inode, folio), from, to;
	int err = 0;

	/* Before what is being changed is looked at: mxfs_cache_hold() waits for who has looked before it. */
	folio_start_writeback(folio);
	/* The change may fail, and then all of it is to go below. */
	if (unlikely(mxfs_folio_changing(inode, folio, &from, &to))) {
		folio_redirty_for_writepage(wbc, folio);
		/* Last: who does not find it dirty waits for the write-back, and then sees this. */
		atomic_inc(&MXFS_I(inode)->left_out);
	}
	/* No page table lets anybody store any more: who is to pin it for that comes to mxfs_page_mkwrite() first. */
	if (!folio_maybe_dma_pinned(folio))
		folio_clear_checked(folio);
	folio_unlock(folio);
	if (bytes && (from || to < bytes))
		err = mxfs_push_folio(inode, folio, bytes, from, to);
	if (err)
		mapping_set_error(folio->mapping, err);
	folio_end_writeback(folio);
	return err;
}

static int mxfs_write_back(struct address_space *mapping, struct writeback_control *wbc)
{
	struct inode *inode = mapping->host;
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct folio *folio = NULL;
	unsigned int nofs;
	int error = 0;

	/* Detaching leaves nothing dirty; what a dead mount still has cannot go anywhere. */
	if (!mxfs_gate_enter(&sbi->wb_gate))
		return 0;
	nofs = memalloc_nofs_save();
	while ((folio = writeback_iter(mapping, wbc, folio, &error)))
		error = mxfs_write_folio(inode, folio, wbc);
	memalloc_nofs_restore(nofs);
	mxfs_gate_leave(&sbi->wb_gate);
	return error;
}

struct mxfs_writing {
	struct work_struct work;
	struct address_space *mapping;
	struct writeback_control *wbc;
	int err;
};

static void mxfs_writing_workfn(struct work_struct *work)
{
	struct mxfs_writing *w = container_of(work, struct mxfs_writing, work);

	w->err = mxfs_write_back(w->mapping, w->wbc);
}

/* A reader asks for the range that it reads, and other parts of the file may be dirty all the time. */
static bool mxfs_is_dirty(struct address_space *mapping, const struct writeback_control *wbc)
{
	pgoff_t start = wbc->range_start >> PAGE_SHIFT, end = wbc->range_end >> PAGE_SHIFT;
	struct folio_batch batch;
	bool found;

	if (wbc->range_cyclic)
		return true;
	folio_batch_init(&batch);
	found = filemap_get_folios_tag(mapping, &start, end, PAGECACHE_TAG_DIRTY, &batch);
	folio_batch_release(&batch);
	return found;
}

/* Who waits for pages to be written waits for the worker instead, no longer and no less killably. */
static int mxfs_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct mxfs_writing w = { .mapping = mapping, .wbc = wbc };

	/* The flusher, a detach and the like are no user's task. */
	if (current->flags & PF_KTHREAD)
		return mxfs_write_back(mapping, wbc);
	if (!mxfs_is_dirty(mapping, wbc))
		return 0;
	INIT_WORK_ONSTACK(&w.work, mxfs_writing_workfn);
	queue_work(MXFS_ISB(mapping->host)->pages.wq, &w.work);
	flush_work(&w.work);
	destroy_work_on_stack(&w.work);
	return w.err;
}

/**
 * mxfs_cache_write - what was stored through maps is below
 * @inode: whose
 * @start: first byte
 * @end: last byte
 *
 * filemap_write_and_wait_range() would also tell of any other page that could not be written at any time before, and to whoever
 * comes first; that is for fsync to tell, to each descriptor.
 *
 * Return: 0 or what it failed with.
 */
int mxfs_cache_write(struct inode *inode, loff_t start, loff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	errseq_t since = READ_ONCE(mapping->wb_err); /* errseq_sample() asks for what nobody has seen yet */
	int err;

	err = filemap_fdatawrite_range(mapping, start, end);
	filemap_fdatawait_range_keep_errors(mapping, start, end);
	return err ?: errseq_check(&mapping->wb_err, since);
}

/*
 * As mxfs_cache_write(), with invalidate_lock held: nothing is being changed, so nothing is left out. Who found something that was, a
 * moment ago, may make its page dirty again behind us, and counts it before we have waited for him. Return: how many were counted; @err: 0, or
 * what it failed with.
 */
static int mxfs_write_still(struct inode *inode, loff_t start, loff_t end, int *err)
{
	const struct mxfs_inode *mi = MXFS_I(inode);
	int seen, ret;

	*err = 0;
	do {
		seen = atomic_read(&mi->left_out);
		ret = mxfs_cache_write(inode, start, end);
		*err = *err ?: ret;
	} while (unlikely(atomic_read(&mi->left_out) != seen));
	return seen;
}

/**
 * mxfs_cache_left_out - what write-back has left out is below
 * @inode: whose; written back a moment ago, inside a gate and without invalidate_lock
 * @start: first byte
 * @end: last byte
 *
 * For who has to have all that was stored before he came: what was being changed then has been left out
 * (mxfs_write_folio()), and that change may fail. Waits for its end.
 *
 * Return: 0; -EINTR when killed; what writing back that part of the file failed with.
 */
int mxfs_cache_left_out(struct inode *inode, loff_t start, loff_t end)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	int seen, err, rest;

	if (likely(atomic_read(&mi->left_out) == atomic_read(&mi->left_done)))
		return 0;
	if (down_read_killable(&inode->i_mapping->invalidate_lock))
		return -EINTR;
	mxfs_write_still(inode, start, end, &err);
	/* All of it, so that the next one need not come here. Its errors are for fsync. */
	seen = mxfs_write_still(inode, 0, LLONG_MAX, &rest);
	spin_lock(&inode->i_lock);
	if (seen - atomic_read(&mi->left_done) > 0)
		atomic_set(&mi->left_done, seen);
	spin_unlock(&inode->i_lock);
	up_read(&inode->i_mapping->invalidate_lock);
	return err;
}

const struct address_space_operations mxfs_aops = {
	.read_folio = mxfs_read_folio,
	.readahead = mxfs_readahead,
	.writepages = mxfs_writepages,
	.dirty_folio = filemap_dirty_folio,
	.migrate_folio = filemap_migrate_folio,
};

/*
 * May a device write to it at any time, as far as can be told? It has to be unmapped first: a page is pinned by who finds it in page tables. For
 * writing only by who finds it writable there, which mxfs_page_mkwrite() has made it, and marked it: what others do who may only
 * read the file, such as a thousand references (folio_maybe_dma_pinned()), counts for nothing.
 */
static bool mxfs_is_pinned(struct folio *folio)
{
	return folio_test_checked(folio) && folio_maybe_dma_pinned(folio);
}

static bool mxfs_has_pinned(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct folio_batch batch;
	bool found = false;
	unsigned int i;

	folio_batch_init(&batch);
	while (!found && filemap_get_folios(mapping, &start, end, &batch)) {
		for (i = 0; i < folio_batch_count(&batch) && !found; i++)
			found = mxfs_is_pinned(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	return found;
}

/* As invalidate_inode_pages2_range(), which does not mind pins. */
static void mxfs_invalidate_unpinned(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct folio_batch batch;
	struct folio *folio;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &start, end, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			folio = batch.folios[i];
			if (!mxfs_is_pinned(folio))
				invalidate_inode_pages2_range(mapping, folio->index, folio->index);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

/**
 * mxfs_cache_drop_locked - what a range has above is below, too, and none of it is mapped
 * @inode: whose
 * @start: first byte
 * @end: last byte
 *
 * For who is about to change the range below, calls mxfs_cache_hold() before and mxfs_cache_changed() when that is done. Pages are
 * dropped, but for those that are pinned, or were written to through a pin a moment ago. The caller holds
 * invalidate_lock exclusively, which keeps others from coming.
 *
 * Return: 0; -EIO or what writing back failed with.
 */
int mxfs_cache_drop_locked(struct inode *inode, loff_t start, loff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = start >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
	loff_t from = round_down(start, PAGE_SIZE);
	int err;

	lockdep_assert_held_write(&mapping->invalidate_lock);
	if (likely(!mapping->nrpages))
		return 0;
	unmap_mapping_range(mapping, from, end == LLONG_MAX ? 0 : round_up(end + 1, PAGE_SIZE) - from, 0);
	mxfs_write_still(inode, from, end, &err);
	if (err)
		return err;
	if (unlikely(mxfs_has_pinned(mapping, first, last)))
		mxfs_invalidate_unpinned(mapping, first, last);
	else
		invalidate_inode_pages2_range(mapping, first, last);
	return 0;
}

/**
 * mxfs_cache_hold - what of a range is above stays there until it was changed below
 * @inode: whose
 * @range: what is to be changed
 *
 * What mxfs_cache_drop_locked() had to leave may be dirty, or become so at any time, and has what was there before the change:
 * written back between the change and mxfs_cache_changed(), it would undo it. invalidate_lock stays held exclusively until
 * mxfs_cache_let_go().
 */
void mxfs_cache_hold(struct inode *inode, const struct mxfs_range *range)
{
	struct address_space *mapping = inode->i_mapping;

	lockdep_assert_held_write(&mapping->invalidate_lock);
	if (likely(!mapping->nrpages) || !filemap_range_has_page(mapping, range->first, range->last))
		return;
	spin_lock(&inode->i_lock);
	MXFS_I(inode)->changing = range;
	spin_unlock(&inode->i_lock);
	/* Who began before. */
	filemap_fdatawait_range_keep_errors(mapping, range->first, range->last);
}

void mxfs_cache_let_go(struct inode *inode)
{
	lockdep_assert_held_write(&inode->i_mapping->invalidate_lock);
	if (likely(!MXFS_I(inode)->changing))
		return;
	spin_lock(&inode->i_lock);
	MXFS_I(inode)->changing = NULL;
	spin_unlock(&inode->i_lock);
}

/* A range that was changed below. */
struct mxfs_taking {
	struct work_struct work;
	struct inode *inode;
	struct file *lower;
	loff_t start, end;
};

/* The bytes of the range that a folio has, as they are below now. The folio is locked. */
static int mxfs_take_below(const struct mxfs_taking *t, struct folio *folio)
{
	const struct inode *linode = file_inode(t->lower);
	loff_t pos = folio_pos(folio), from = max(t->start, pos), last, size;
	int err, try = 0;

	for (;;) {
		size = i_size_read(linode);
		last = min3(t->end, pos + (loff_t)folio_size(folio) - 1, size - 1);
		if (from > last)
			return 0;
		err = mxfs_read_below(t->lower, folio, from - pos, last - from + 1);
		if (err == -ENOMEM && try++ < MXFS_PUSH_TRIES)
			memalloc_retry_wait(GFP_NOFS);
		else if (!err || i_size_read(linode) >= size) /* else it was too much: who cuts the file does not wait for a queued write */
			return err;
	}
}

/*
 * A folio that cannot have the new bytes must not stay, for written back it would undo the change. What was stored into it and is not
 * below yet is lost, and what a device brings into it; fsync says so. One that has only been read is read again.
 */
static void mxfs_take_folio(const struct mxfs_taking *t, struct folio *folio)
{
	struct address_space *mapping = t->inode->i_mapping;
	bool is_lost;

	folio_lock(folio);
	if (folio->mapping == mapping) {
		/* It copies the folio without the lock. */
		folio_wait_writeback(folio);
		if (unlikely(mxfs_take_below(t, folio))) {
			is_lost = folio_test_dirty(folio) || mxfs_is_pinned(folio);
			generic_error_remove_folio(mapping, folio);
			if (is_lost)
				mapping_set_error(mapping, -EIO);
		}
	}
	folio_unlock(folio);
}

static void mxfs_taking_workfn(struct work_struct *work)
{
	const struct mxfs_taking *t = container_of(work, struct mxfs_taking, work);
	pgoff_t index = t->start >> PAGE_SHIFT;
	struct folio_batch batch;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(t->inode->i_mapping, &index, t->end >> PAGE_SHIFT, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			mxfs_take_folio(t, batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
}

/**
 * mxfs_cache_changed - a range was changed below
 * @inode: whose
 * @lower: its lower file
 * @start: first byte
 * @end: last byte
 *
 * What mxfs_cache_drop_locked() had to leave takes the new content. A worker does it: who is being killed can read nothing any more
 * (mm/filemap.c: filemap_get_pages()), but has changed the file.
 */
void mxfs_cache_changed(struct inode *inode, struct file *lower, loff_t start, loff_t end)
{
	struct mxfs_taking t = { .inode = inode, .lower = lower, .start = start, .end = end };

	if (likely(!inode->i_mapping->nrpages) || !filemap_range_has_page(inode->i_mapping, start, end))
		return;
	INIT_WORK_ONSTACK(&t.work, mxfs_taking_workfn);
	queue_work(MXFS_ISB(inode)->pages.wq, &t.work);
	flush_work(&t.work);
	destroy_work_on_stack(&t.work);
}

/**
 * mxfs_cache_failed - a change of a range has failed, and may have changed some of it below
 * @inode: whose
 * @start: first byte
 * @end: last byte
 *
 * What was read before is read again. What was stored into, or may be by who has pinned it, stays and is written back: below is not
 * what it holds.
 */
void mxfs_cache_failed(struct inode *inode, loff_t start, loff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	pgoff_t index = start >> PAGE_SHIFT;
	struct folio_batch batch;
	struct folio *folio;
	unsigned int i;

	if (likely(!mapping->nrpages))
		return;
	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &index, end >> PAGE_SHIFT, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			folio = batch.folios[i];
			folio_lock(folio);
			folio_wait_writeback(folio);
			/* One that is clean now can be stored into, or be pinned for that, after mxfs_page_mkwrite() only, which wants the lock. */
			if (folio->mapping == mapping && mxfs_is_pinned(folio))
				folio_mark_dirty(folio);
			else if (folio->mapping == mapping && !folio_test_dirty(folio))
				generic_error_remove_folio(mapping, folio);
			folio_unlock(folio);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

/**
 * mxfs_cache_cut - the file has become shorter
 * @inode: whose
 * @size: how long it is now
 *
 * As on XFS, pages behind the end go, pinned or not. With invalidate_lock held as for mxfs_cache_drop_locked().
 */
void mxfs_cache_cut(struct inode *inode, loff_t size)
{
	if (unlikely(inode->i_mapping->nrpages))
		truncate_inode_pages(inode->i_mapping, size);
}

/* Return: whether the end of the file has moved meanwhile, and has to be looked at anew. */
static bool mxfs_zero_behind(struct inode *inode, const struct inode *sized, loff_t size)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio;
	bool moved;

	/* Who stores from here on faults first, and waits for the lock. */
	unmap_mapping_range(mapping, round_down(size, PAGE_SIZE), PAGE_SIZE, 0);
	folio = filemap_lock_folio(mapping, size >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return i_size_read(sized) != size;
	/* A write that was queued has made the file longer before the folio takes what it wrote (mxfs_take_below()). */
	moved = i_size_read(sized) != size;
	if (likely(!moved))
		folio_zero_segment(folio, offset_in_folio(folio, size), folio_size(folio));
	folio_unlock(folio);
	folio_put(folio);
	return moved;
}

/**
 * mxfs_cache_grow - what the last page holds behind the end must not become part of the file
 * @inode: whose
 * @sized: who has the size of the file: the lower inode, or @inode where no write is queued
 *
 * Before the file is made longer, with invalidate_lock held exclusively until it is.
 */
void mxfs_cache_grow(struct inode *inode, const struct inode *sized)
{
	loff_t size;

	lockdep_assert_held_write(&inode->i_mapping->invalidate_lock);
	if (likely(!inode->i_mapping->nrpages))
		return;
	do
		size = i_size_read(sized);
	while (offset_in_page(size) && mxfs_zero_behind(inode, sized, size));
}

/*
 * For each inode that was ever mapped and is still in memory; @fn may sleep. Returns the first
 * error.
 */
static int mxfs_each_cached(struct mxfs_sb *sbi, int (*fn)(struct inode *inode))
{
	struct mxfs_inode *mi;
	struct inode *inode, *last = NULL;
	int err = 0, ret;

	spin_lock(&sbi->bind.lock);
	list_for_each_entry(mi, &sbi->pages.inodes, cached_entry) {
		inode = igrab(&mi->vfs_inode);
		if (!inode)
			continue; /* being evicted: its pages are going */
		spin_unlock(&sbi->bind.lock);
		ret = fn(inode);
		err = err ?: ret;
		/*
		 * The reference keeps our place in the list; the one before is not needed any more.
		 */
		iput(last);
		last = inode;
		spin_lock(&sbi->bind.lock);
	}
	spin_unlock(&sbi->bind.lock);
	iput(last);
	return err;
}

static int mxfs_unmap_one(struct inode *inode)
{
	unmap_mapping_range(inode->i_mapping, 0, 0, 0);
	return 0;
}

/*
 * Faults that had been let in map their page with it locked. One that is not up to date is looked at anew when it is (mxfs_fault()).
 *
 * Return: 0; -EAGAIN when one of the pages may be mapped yet.
 */
static int mxfs_unmap_late_one(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio_batch batch;
	bool is_locked = false;
	pgoff_t start = 0;
	unsigned int i;

	folio_batch_init(&batch);
	while (!is_locked && filemap_get_folios(mapping, &start, ULONG_MAX, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++)
			is_locked |= folio_test_locked(batch.folios[i]) && folio_test_uptodate(batch.folios[i]);
		folio_batch_release(&batch);
		cond_resched();
	}
	/* Also where none is locked: one that was a moment ago may have been mapped after the first time. */
	unmap_mapping_range(mapping, 0, 0, 0);
	return is_locked ? -EAGAIN : 0;
}

/**
 * mxfs_cache_unmap - whoever reads or stores through a map from now on faults
 * @sbi: as for mxfs_cache_unmap_all()
 *
 * Waits for no disk. Faults that were let in before may map their page yet.
 */
void mxfs_cache_unmap(struct mxfs_sb *sbi)
{
	/* Also the barrier between what mxfs_may_fault() looks at and the locks of folios. */
	synchronize_rcu_expedited();
	mxfs_each_cached(sbi, mxfs_unmap_one);
}

/**
 * mxfs_cache_unmap_all - nothing is read or stored through a map without a fault
 * @sbi: the mount, not held (mxfs_hold()), where faults are not served any more (mxfs_may_fault())
 * @is_over: whether somebody else sees to it; may be NULL
 *
 * Pages stay: they are what the file holds for as long as XFS is attached. The gates stay open, so faults that were let in before are
 * still under way. They look again when they have their page locked, and map it with the lock held; mxfs_map_pages() is over after
 * a grace period. A page may stay locked for as long as a disk hangs; that keeps no other page mapped, and ends with umount, where nothing
 * is mapped.
 */
void mxfs_cache_unmap_all(struct mxfs_sb *sbi, bool (*is_over)(struct mxfs_sb *sbi))
{
	unsigned long pause = 1;

	mxfs_cache_unmap(sbi);
	while (mxfs_each_cached(sbi, mxfs_unmap_late_one)) {
		if (READ_ONCE(sbi->change.held) || (is_over && is_over(sbi)))
			break;
		/* A page is mapped for no longer than it has been waited for. */
		schedule_timeout_uninterruptible(pause);
		pause = min_t(unsigned long, 2 * pause, MXFS_UNMAP_LOOK);
	}
}

static int mxfs_flush_one(struct inode *inode)
{
	return inode->i_mapping->nrpages ? mxfs_cache_write(inode, 0, LLONG_MAX) : 0;
}

static int mxfs_is_pinned_one(struct inode *inode)
{
	return inode->i_mapping->nrpages && mxfs_has_pinned(inode->i_mapping, 0, ULONG_MAX) ? -EBUSY : 0;
}

static int mxfs_warn_pinned_one(struct inode *inode)
{
	if (!mxfs_is_pinned_one(inode))
		return 0;
	mxfs_warn(MXFS_ISB(inode),
		  "inode %lu: a device still reads or writes pages of its maps, and another node waits for the volume: what it writes from now on is lost; fsync and msync report EIO",
		  inode->i_ino);
	mapping_set_error(inode->i_mapping, -EIO);
	return 0;
}

/* Nothing may stay: the next attach would take it for what the file holds by then. */
static int mxfs_drop_one(struct inode *inode)
{
	struct address_space *mapping = inode->i_mapping;
	int err = invalidate_inode_pages2(mapping);

	if (err) {
		mapping_set_error(mapping, err == -EBUSY ? -EIO : err);
		truncate_inode_pages(mapping, 0);
	}
	return err;
}

/* Requests that a detach waits for come to their end, for as long as @limit, and not past @end. */
static bool mxfs_pins_gone(struct mxfs_sb *sbi, unsigned long limit, unsigned long end)
{
	unsigned long look = jiffies + limit;

	if (time_after(look, end))
		look = end;
	while (mxfs_each_cached(sbi, mxfs_is_pinned_one)) {
		if (time_after_eq(jiffies, look))
			return false;
		schedule_timeout_uninterruptible(MXFS_PINS_LOOK);
	}
	return true;
}

/**
 * mxfs_cache_quiesce - nobody stores into pages above any more, and what they hold is below
 * @sbi: the mount, detaching: the operation gate is closed, the write-back gate open
 *
 * Closes the fault gate. A device that reads into a map (O_DIRECT of another file system) writes to its pages
 * at any time, mapped or not, until they are unpinned. It is waited for, because what it writes belongs to the file, and
 * the next owner reads the file without it. Who pins several pages may have some and fault for the next, so meanwhile
 * faults are served, in between: where requests follow each other without a pause, there is a moment without one only while
 * none can begin, as long as the device needs. Not for ever: whoever makes a device hang would keep the volume from every other node. What then
 * is lost is told in the log and by fsync. Its pages are dropped, so the next change of owner does not wait for the same request; and
 * who begins such requests again and again costs a change of owner little more.
 * (Pins that last, FOLL_LONGTERM, and could write to pages of a file are refused, see mm/gup.c, writable_file_mapping_allowed(). Those that
 * only read are not waited for, unless the page was stored into since it was last written back: then they look the same.)
 *
 * Return: 0, or what writing back failed with.
 */
int mxfs_cache_quiesce(struct mxfs_sb *sbi)
{
	bool again = sbi->pages.pins_late && time_before(jiffies, sbi->pages.pins_late + MXFS_PINS_AGAIN);
	unsigned long end = jiffies + (again ? MXFS_PINS_SHORT : MXFS_PINS_MAX), still = MXFS_PINS_STILL;
	int err = 0;

	for (;;) {
		mxfs_gate_close(&sbi->fault_gate);
		mxfs_each_cached(sbi, mxfs_unmap_one);
		/*
		 * Who has left the gate with a page locked maps it for writing yet, and may pin it until it is write-protected: looked
		 * at before that, a pin would be missed.
		 */
		err = mxfs_each_cached(sbi, mxfs_flush_one) ?: err;
		if (likely(!mxfs_each_cached(sbi, mxfs_is_pinned_one)) || READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			break;
		if (mxfs_pins_gone(sbi, still, end))
			break;
		still *= 2;
		if (time_after_eq(jiffies, end)) {
			mxfs_each_cached(sbi, mxfs_warn_pinned_one);
			sbi->pages.pins_late = jiffies ?: 1;
			break;
		}
		mxfs_gate_open(&sbi->fault_gate);
		wake_up_all(&sbi->wait);
		mxfs_pins_gone(sbi, HZ / 5, end);
	}
	/* What was unpinned since is dirty. */
	return mxfs_each_cached(sbi, mxfs_flush_one) ?: err;
}

int mxfs_cache_flush_all(struct mxfs_sb *sbi)
{
	return mxfs_each_cached(sbi, mxfs_flush_one);
}

static int mxfs_left_out_one(struct inode *inode)
{
	return mxfs_cache_left_out(inode, 0, LLONG_MAX);
}

/* As mxfs_cache_left_out(), for sync(2): all files have been written back. */
int mxfs_cache_left_out_all(struct mxfs_sb *sbi)
{
	return mxfs_each_cached(sbi, mxfs_left_out_one);
}

int mxfs_cache_drop_all(struct mxfs_sb *sbi)
{
	return mxfs_each_cached(sbi, mxfs_drop_one);
}

static void mxfs_fault_leave(struct mxfs_sb *sbi)
{
	mxfs_note_op(sbi);
	mxfs_gate_leave(&sbi->fault_gate);
}

static bool mxfs_fault_try_enter(struct mxfs_sb *sbi)
{
	if (!mxfs_gate_enter(&sbi->fault_gate))
		return false;
	if (likely(mxfs_may_fault(sbi)))
		return true;
	mxfs_gate_leave(&sbi->fault_gate);
	return false;
}

/*
 * Enter the fault gate, or wait for ownership without the lock that the fault came with: another
 * thread of this process may be inside an operation that detaching waits for, and want that lock.
 *
 * Return: 0 when inside; else what to return from the fault.
 */
static vm_fault_t mxfs_fault_enter(struct mxfs_sb *sbi, struct vm_fault *vmf)
{
	struct file *pin;
	int err;

	while (unlikely(!mxfs_fault_try_enter(sbi))) {
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			return VM_FAULT_SIGBUS;
		if (fault_flag_allow_retry_first(vmf->flags)) {
			if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
				return VM_FAULT_RETRY;
			pin = get_file(vmf->vma->vm_file);
			release_fault_lock(vmf);
			atomic_inc(&sbi->waiters);
			mxfs_wait_fault(sbi); /* an error is met again by the retry */
			atomic_dec(&sbi->waiters);
			fput(pin);
			return VM_FAULT_RETRY;
		}
		atomic_inc(&sbi->waiters);
		err = mxfs_wait_fault(sbi);
		atomic_dec(&sbi->waiters);
		if (err)
			return VM_FAULT_SIGBUS;
	}
	return 0;
}

/* Another node may have changed the size since it was copied. */
static vm_fault_t mxfs_fault_refresh(struct inode *inode)
{
	return mxfs_refresh_attr(inode) ? VM_FAULT_SIGBUS : 0;
}

static vm_fault_t mxfs_fault(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	vm_fault_t ret;

	ret = mxfs_fault_enter(sbi, vmf);
	if (ret)
		return ret;
	ret = mxfs_fault_refresh(inode);
	if (!ret) {
		mxfs_touch_mapped(file);
		ret = filemap_fault(vmf);
	}
	/* Reading may have taken long: what was unmapped meanwhile is not to be mapped again (mxfs_cache_unmap_all()). */
	if ((ret & VM_FAULT_LOCKED) && unlikely(!mxfs_may_fault(sbi))) {
		mxfs_put_locked(vmf->page);
		vmf->page = NULL;
		ret = VM_FAULT_NOPAGE;
	}
	mxfs_fault_leave(sbi);
	return ret;
}

/* Is it a page of the file, and none that was dropped, or cut off, since? */
static bool mxfs_is_current(struct inode *inode, struct folio *folio)
{
	return folio->mapping == inode->i_mapping && mxfs_folio_bytes(inode, folio);
}

static vm_fault_t mxfs_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret = VM_FAULT_NOPAGE;
	bool current_page;

	sb_start_pagefault(inode->i_sb);
	/*
	 * Not ours at the moment: let the store fault again. The page is gone by then, and ->fault
	 * waits, which may drop the lock; this handler must not (mm/memory.c: do_page_mkwrite()
	 * expects the page to be kept). Who is being killed would fault again for ever, inside the kernel.
	 */
	if (!mxfs_fault_try_enter(sbi)) {
		if (mxfs_wait_fault(sbi))
			ret = VM_FAULT_SIGBUS;
		goto out;
	}
	filemap_invalidate_lock_shared(mapping);
	folio_lock(folio);
	current_page = mxfs_is_current(inode, folio);
	/* Unlocked: XFS wants memory. invalidate_lock keeps the folio in the cache, but for the end of a queued write: it is looked at again. */
	folio_unlock(folio);
	if (!current_page)
		goto out_invalidate;
	ret = mxfs_reserve_below(inode, folio);
	if (!(ret & VM_FAULT_LOCKED)) {
		if (fatal_signal_pending(current))
			ret = VM_FAULT_SIGBUS;
		goto out_invalidate;
	}
	folio_lock(folio);
	if (!mxfs_is_current(inode, folio) || !mxfs_may_fault(sbi)) {
		folio_unlock(folio);
		ret = VM_FAULT_NOPAGE;
		goto out_invalidate;
	}
	folio_mark_dirty(folio);
	folio_set_checked(folio); /* mxfs_is_pinned() */
	folio_wait_stable(folio);
out_invalidate:
	filemap_invalidate_unlock_shared(mapping);
	mxfs_fault_leave(sbi);
out:
	sb_end_pagefault(inode->i_sb);
	return ret;
}

/* Is any file of this mount mapped by anybody? */
bool mxfs_any_mapped(struct mxfs_sb *sbi)
{
	struct mxfs_inode *mi;
	bool mapped = false;

	if (list_empty(&sbi->pages.inodes))
		return false;
	spin_lock(&sbi->bind.lock);
	list_for_each_entry(mi, &sbi->pages.inodes, cached_entry) {
		mapped = mapping_mapped(mi->vfs_inode.i_mapping);
		if (mapped)
			break;
	}
	spin_unlock(&sbi->bind.lock);
	return mapped;
}

/* Pages that are there already, under rcu_read_lock(). Where nothing may start, ->fault comes next, and waits. */
static vm_fault_t mxfs_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(vmf->vma->vm_file));
	vm_fault_t ret;

	if (!mxfs_fault_try_enter(sbi))
		return 0;
	ret = filemap_map_pages(vmf, start, end);
	mxfs_fault_leave(sbi);
	return ret;
}

static const struct vm_operations_struct mxfs_vm_ops = {
	.fault = mxfs_fault,
	.map_pages = mxfs_map_pages,
	.page_mkwrite = mxfs_page_mkwrite,
};

/*
 * With mmap_lock held, so no gate may be waited for here: the map is only prepared, and everything
 * else happens at the first fault.
 */
int mxfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	mxfs_mark_cached(file_inode(file));
	vma->vm_ops = &mxfs_vm_ops;
	return 0;
}
