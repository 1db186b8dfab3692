/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the page cache of mapped files (pages/cache.c).
 */
#ifndef _MXFS_PAGES_CACHE_H
#define _MXFS_PAGES_CACHE_H

#include <linux/pagemap.h>
#include "inode.h"

extern const struct address_space_operations mxfs_aops;
int mxfs_mmap(struct file *file, struct vm_area_struct *vma);
int mxfs_cache_write(struct inode *inode, loff_t start, loff_t end);
int mxfs_cache_left_out(struct inode *inode, loff_t start, loff_t end);
/* Write back what was stored through maps. Inside a gate, without invalidate_lock; @end inclusive. */
static inline int mxfs_cache_flush(struct inode *inode, loff_t start, loff_t end)
{
	if (likely(!inode->i_mapping->nrpages))
		return 0;
	return mxfs_cache_write(inode, start, end) ?: mxfs_cache_left_out(inode, start, end);
}

int mxfs_cache_attach(struct mxfs_sb *sbi);
void mxfs_cache_detach(struct mxfs_sb *sbi);
int mxfs_cache_drop_locked(struct inode *inode, loff_t start, loff_t end);
void mxfs_cache_hold(struct inode *inode, const struct mxfs_range *range);
void mxfs_cache_let_go(struct inode *inode);
void mxfs_cache_changed(struct inode *inode, struct file *lower, loff_t start, loff_t end);
void mxfs_cache_failed(struct inode *inode, loff_t start, loff_t end);
void mxfs_cache_cut(struct inode *inode, loff_t size);
void mxfs_cache_grow(struct inode *inode, const struct inode *sized);
int mxfs_cache_quiesce(struct mxfs_sb *sbi);
void mxfs_cache_unmap(struct mxfs_sb *sbi);
void mxfs_cache_unmap_all(struct mxfs_sb *sbi, bool (*is_over)(struct mxfs_sb *sbi));
int mxfs_cache_flush_all(struct mxfs_sb *sbi);
int mxfs_cache_left_out_all(struct mxfs_sb *sbi);
int mxfs_cache_drop_all(struct mxfs_sb *sbi);
bool mxfs_any_mapped(struct mxfs_sb *sbi);

#endif /* _MXFS_PAGES_CACHE_H */
