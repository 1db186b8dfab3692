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
 * Coherence:
 *
 *	write(2), truncate, fallocate and clone hold invalidate_lock exclusively from dropping the
 *	pages to the end of the change; faults and page_mkwrite hold it shared;
 *
 *	a page is made writable only after its content was written below once, which reserves the
 *	space (so that a full file system is a SIGBUS at the store, as on XFS, and not a lost page
 *	at write-back) and updates mtime;
 *
 *	write-back never extends the file: it is bounded by the size above, which changes only
 *	together with the one below.
 */
#include <linux/backing-dev.h>
#include <linux/bvec.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include "mxfs.h"

/* The lower file that pages go through. Inside the fault or write-back gate. */
static struct file *mxfs_cache_file(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	return mxfs_open_lower(&MXFS_I(inode)->wb, sbi->rdonly ? O_RDONLY : O_RDWR, sbi->cred);
}

static size_t mxfs_folio_bytes(struct inode *inode, struct folio *folio)
{
	loff_t left = i_size_read(inode) - folio_pos(folio);

	return left <= 0 ? 0 : min_t(loff_t, left, folio_size(folio));
}

static ssize_t mxfs_folio_rw(struct inode *inode, struct folio *folio, size_t bytes, bool write)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct file *lower = mxfs_cache_file(inode);
	loff_t pos = folio_pos(folio);
	struct iov_iter iter;
	struct bio_vec bvec;
	unsigned int nofs;
	ssize_t ret;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	bvec_set_folio(&bvec, folio, bytes, 0);
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, &bvec, 1, bytes);
	/* Reclaim must not come back here for a page that waits for this one. */
	nofs = memalloc_nofs_save();
	ret = write ? vfs_iter_write(lower, &iter, &pos, 0) : vfs_iter_read(lower, &iter, &pos, 0);
	memalloc_nofs_restore(nofs);
	if (ret > 0) {
		spin_lock(&sbi->stats_lock);
		if (write)
			sbi->stats.mapped_bytes_written += ret;
		else
			sbi->stats.mapped_bytes_read += ret;
		spin_unlock(&sbi->stats_lock);
	}
	return ret;
}

static int mxfs_fill_folio(struct inode *inode, struct folio *folio)
{
	size_t bytes = mxfs_folio_bytes(inode, folio);
	ssize_t ret = 0;

	if (bytes) {
		ret = mxfs_folio_rw(inode, folio, bytes, false);
		if (ret < 0)
			return ret;
	}
	folio_zero_segment(folio, ret, folio_size(folio));
	return 0;
}

/* Detaching looks for pages in these inodes only. */
static void mxfs_mark_cached(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);

	if (likely(!list_empty_careful(&mi->cached_entry)))
		return;
	spin_lock(&sbi->lower_lock);
	if (list_empty(&mi->cached_entry))
		list_add_tail(&mi->cached_entry, &sbi->cached_inodes);
	spin_unlock(&sbi->lower_lock);
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

static int mxfs_write_folio(struct inode *inode, struct folio *folio)
{
	size_t bytes = mxfs_folio_bytes(inode, folio);
	ssize_t ret = 0;

	folio_start_writeback(folio);
	folio_unlock(folio);
	if (bytes) {
		ret = mxfs_folio_rw(inode, folio, bytes, true);
		if (ret >= 0 && ret < bytes)
			ret = -EIO;
		if (ret < 0)
			mapping_set_error(folio->mapping, ret);
	}
	folio_end_writeback(folio);
	return ret < 0 ? ret : 0;
}

static int mxfs_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct inode *inode = mapping->host;
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct folio *folio = NULL;
	unsigned int throttle;
	int error = 0;

	/* Detaching leaves nothing dirty; what a dead mount still has cannot go anywhere. */
	if (!mxfs_gate_enter(&sbi->wb_gate))
		return 0;
	/* XFS's dirty limit must not stop the one who cleans (as in drivers/block/loop.c). */
	throttle = current->flags & PF_LOCAL_THROTTLE;
	current->flags |= PF_LOCAL_THROTTLE;
	while ((folio = writeback_iter(mapping, wbc, folio, &error)))
		error = mxfs_write_folio(inode, folio);
	if (!throttle)
		current->flags &= ~PF_LOCAL_THROTTLE;
	mxfs_gate_leave(&sbi->wb_gate);
	return error;
}

const struct address_space_operations mxfs_aops = {
	.read_folio = mxfs_read_folio,
	.readahead = mxfs_readahead,
	.writepages = mxfs_writepages,
	.dirty_folio = filemap_dirty_folio,
	.migrate_folio = filemap_migrate_folio,
};

/**
 * mxfs_cache_drop_locked - no page of a range is above any more, and none is mapped
 * @inode: whose
 * @start: first byte
 * @end: last byte
 *
 * The caller holds invalidate_lock exclusively, which keeps new ones from coming.
 *
 * Return: 0; -EIO or what writing back failed with.
 */
int mxfs_cache_drop_locked(struct inode *inode, loff_t start, loff_t end)
{
	struct address_space *mapping = inode->i_mapping;
	loff_t first = round_down(start, PAGE_SIZE);
	int err;

	lockdep_assert_held_write(&mapping->invalidate_lock);
	if (likely(!mapping->nrpages))
		return 0;
	unmap_mapping_range(mapping, first,
			    end == LLONG_MAX ? 0 : round_up(end + 1, PAGE_SIZE) - first, 0);
	err = filemap_write_and_wait_range(mapping, first, end);
	if (err)
		return err;
	return invalidate_inode_pages2_range(mapping, first >> PAGE_SHIFT,
					     end == LLONG_MAX ? -1 : end >> PAGE_SHIFT);
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

	spin_lock(&sbi->lower_lock);
	list_for_each_entry(mi, &sbi->cached_inodes, cached_entry) {
		inode = igrab(&mi->vfs_inode);
		if (!inode)
			continue; /* being evicted: its pages are going */
		spin_unlock(&sbi->lower_lock);
		ret = fn(inode);
		err = err ?: ret;
		/*
		 * The reference keeps our place in the list; the one before is not needed any more.
		 */
		iput(last);
		last = inode;
		spin_lock(&sbi->lower_lock);
	}
	spin_unlock(&sbi->lower_lock);
	iput(last);
	return err;
}

static int mxfs_unmap_one(struct inode *inode)
{
	unmap_mapping_range(inode->i_mapping, 0, 0, 0);
	return 0;
}

static int mxfs_flush_one(struct inode *inode)
{
	return filemap_write_and_wait(inode->i_mapping);
}

static int mxfs_drop_one(struct inode *inode)
{
	return invalidate_inode_pages2(inode->i_mapping);
}

void mxfs_cache_unmap_all(struct mxfs_sb *sbi)
{
	mxfs_each_cached(sbi, mxfs_unmap_one);
}

int mxfs_cache_flush_all(struct mxfs_sb *sbi)
{
	return mxfs_each_cached(sbi, mxfs_flush_one);
}

int mxfs_cache_drop_all(struct mxfs_sb *sbi)
{
	return mxfs_each_cached(sbi, mxfs_drop_one);
}

/* As mxfs_may_run(), for faults: these go on while operations are already closed and drain. */
static bool mxfs_may_fault(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) != MXFS_STATE_DEAD && !READ_ONCE(sbi->frozen) &&
	       time_before(jiffies, READ_ONCE(sbi->lease_end));
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
			mxfs_wait_owner(sbi); /* an error is met again by the retry */
			atomic_dec(&sbi->waiters);
			fput(pin);
			return VM_FAULT_RETRY;
		}
		atomic_inc(&sbi->waiters);
		err = mxfs_wait_owner(sbi);
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
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	vm_fault_t ret;

	ret = mxfs_fault_enter(sbi, vmf);
	if (ret)
		return ret;
	ret = mxfs_fault_refresh(inode);
	if (!ret)
		ret = filemap_fault(vmf);
	mxfs_fault_leave(sbi);
	return ret;
}

static vm_fault_t mxfs_page_mkwrite(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct address_space *mapping = inode->i_mapping;
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct folio *folio = page_folio(vmf->page);
	vm_fault_t ret = VM_FAULT_NOPAGE;
	ssize_t written;
	size_t bytes;

	sb_start_pagefault(inode->i_sb);
	/*
	 * Not ours at the moment: let the store fault again. The page is gone by then, and ->fault
	 * waits, which may drop the lock; this handler must not (mm/memory.c: do_page_mkwrite()
	 * expects the page to be kept).
	 */
	if (!mxfs_fault_try_enter(sbi)) {
		if (READ_ONCE(sbi->state) == MXFS_STATE_DEAD)
			ret = VM_FAULT_SIGBUS;
		else if (mxfs_wait_owner(sbi) == -EIO)
			ret = VM_FAULT_SIGBUS;
		goto out;
	}
	filemap_invalidate_lock_shared(mapping);
	folio_lock(folio);
	bytes = mxfs_folio_bytes(inode, folio);
	if (folio->mapping != mapping || !bytes)
		goto out_unlock;
	if (!folio_test_dirty(folio)) {
		/*
		 * Unlocked: the write below may want memory. invalidate_lock keeps the folio in the
		 * cache.
		 */
		folio_unlock(folio);
		written = mxfs_folio_rw(inode, folio, bytes, true);
		if (written >= 0 && written < bytes)
			written = -ENOSPC;
		if (written < 0) {
			ret = vmf_fs_error(written);
			goto out_invalidate;
		}
		folio_lock(folio);
		if (folio->mapping != mapping)
			goto out_unlock;
	}
	folio_mark_dirty(folio);
	folio_wait_stable(folio);
	filemap_invalidate_unlock_shared(mapping);
	mxfs_fault_leave(sbi);
	sb_end_pagefault(inode->i_sb);
	return VM_FAULT_LOCKED;

out_unlock:
	folio_unlock(folio);
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

	if (list_empty(&sbi->cached_inodes))
		return false;
	spin_lock(&sbi->lower_lock);
	list_for_each_entry(mi, &sbi->cached_inodes, cached_entry) {
		mapped = mapping_mapped(mi->vfs_inode.i_mapping);
		if (mapped)
			break;
	}
	spin_unlock(&sbi->lower_lock);
	return mapped;
}

static const struct vm_operations_struct mxfs_vm_ops = {
	.fault = mxfs_fault,
	.map_pages = filemap_map_pages,
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
