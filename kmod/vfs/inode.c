// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: what the VFS does with an inode.
 */
#include <linux/fiemap.h>
#include <linux/fileattr.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xattr.h>
#include "local/local.h"
#include "local/orphan.h"
#include "pages/cache.h"
#include "vfs/vfs.h"

void mxfs_evict_inode(struct inode *inode)
{
	/* Only what was mapped has had pages here. */
	if (!mapping_empty(&inode->i_data))
		truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	mxfs_let_lower_go(MXFS_I(inode));
	if (unlikely(mxfs_extra_links(MXFS_I(inode))) && !S_ISDIR(inode->i_mode))
		mxfs_orphan_evicted(inode);
}

/*
 * May the rest of this inode wait for removed.work? What was mapped has pages to drop first. Without SB_ACTIVE the VFS evicts,
 * whatever mxfs_drop_inode() says.
 */
static bool mxfs_may_wait(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	return !inode->i_nlink && !S_ISDIR(inode->i_mode) && !MXFS_I(inode)->let_go &&
	       mapping_empty(&inode->i_data) && (inode->i_sb->s_flags & SB_ACTIVE) && !READ_ONCE(sbi->removed.at_once) &&
	       atomic_read(&sbi->removed.count) < MXFS_REMOVED_MAX;
}

/**
 * mxfs_drop_inode - the last reference of an inode went; what now?
 * @inode: upper, with i_lock held and no reference
 *
 * The lower inode of a removed file goes at once, so that whoever looks next finds its space free. What is left here is
 * memory, and that is freed by work which finds many of them, not while somebody waits for unlink(2): XFS does
 * the same with its own inodes (fs/xfs/xfs_icache.c: xfs_inodegc_queue()). As f2fs_drop_inode(), it takes a reference to
 * let go of i_lock meanwhile.
 *
 * Return: whether the VFS has to evict it.
 */
int mxfs_drop_inode(struct inode *inode)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	if (!mxfs_may_wait(inode))
		return !inode->i_nlink || inode_unhashed(inode);

	/* Who finds it by its number from here on takes i_lock, too, and sees that nothing is left of it (mxfs_unless_let_go()). */
	WRITE_ONCE(mi->let_go, true);
	atomic_inc(&inode->i_count);
	spin_unlock(&inode->i_lock);
	mxfs_let_lower_go(mi);
	atomic_inc(&sbi->removed.count);
	spin_lock(&inode->i_lock);
	/* Its iput() waits for i_lock. */
	if (llist_add(&mi->removed_entry, &sbi->removed.list))
		queue_delayed_work(mxfs_wq, &sbi->removed.work, 1);
	return 0;
}

void mxfs_free_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, removed.work.work);
	struct mxfs_inode *mi, *next;

	llist_for_each_entry_safe(mi, next, llist_del_all(&sbi->removed.list), removed_entry) {
		iput(&mi->vfs_inode);
		atomic_dec(&sbi->removed.count);
		cond_resched();
	}
}

/**
 * mxfs_free_all - free at once what waits for removed.work, and all that follows
 * @sbi: the mount, whose umount begins: the VFS wants no inode to be referenced any more
 */
void mxfs_free_all(struct mxfs_sb *sbi)
{
	WRITE_ONCE(sbi->removed.at_once, true);
	flush_delayed_work(&sbi->removed.work);
}

/**
 * mxfs_iget - the inode of a file that was found
 * @sb: the superblock
 * @found: the file; its reference is taken over
 * @created: it was made a moment ago
 *
 * Return: the inode with a reference, attributes applied; or an ERR_PTR.
 */
struct inode *mxfs_iget(struct super_block *sb, struct mxfs_found *found, bool created)
{
	struct inode *inode = mxfs_inode_get(sb, &found->id, created);

	if (IS_ERR(inode)) {
		mxfs_found_put(found);
		return inode;
	}
	mxfs_found_bind(inode, found);
	mxfs_apply(inode, &found->attr);
	if (!mxfs_is_new_inode(inode))
		return inode;

	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &mxfs_file_iops;
		inode->i_fop = &mxfs_file_fops;
		inode->i_mapping->a_ops = &mxfs_aops;
		break;
	case S_IFDIR:
		inode->i_op = &mxfs_dir_iops;
		inode->i_fop = &mxfs_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &mxfs_symlink_iops;
		break;
	default:
		inode->i_op = &mxfs_special_iops;
		init_special_inode(inode, inode->i_mode, found->rdev);
		break;
	}
	unlock_new_inode(inode);
	return inode;
}

/* The VFS looks at the flag before it asks, when it may have been what another node has changed since. */
static bool mxfs_is_refused(const struct inode *inode, int mask)
{
	return (mask & MAY_WRITE) && unlikely(IS_IMMUTABLE(inode));
}

static noinline int mxfs_enter_refresh(struct inode *inode, int mask)
{
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = op.ops->refresh(inode);
	/* Inside: a detach takes the flag away (mxfs_take_lower()). */
	if (!err && mxfs_is_refused(inode, mask))
		err = -EPERM;
	mxfs_end(&op);
	return err;
}

int mxfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	u64 seq = READ_ONCE(sbi->attach_seq);
	bool known, refused;
	int err;

	known = mxfs_may_run(sbi) && mxfs_attr_is_fresh(inode);
	refused = mxfs_is_refused(inode, mask);
	smp_rmb(); /* the flag of before this attach, or of after it, decides nothing */
	if (unlikely(!known || !mxfs_may_run(sbi) || READ_ONCE(sbi->attach_seq) != seq)) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = mxfs_enter_refresh(inode, mask);
		if (err)
			return err;
	} else if (unlikely(refused)) {
		return -EPERM;
	}
	if (S_ISDIR(inode->i_mode))
		mxfs_trust_permission(inode);
	return generic_permission(idmap, inode, mask);
}

int mxfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
		 unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_op op;
	int err;

	if (unlikely(!mxfs_try_enter(sbi))) {
		/* Whoever says that what is known is enough is not kept waiting: umount(8), before anything else. */
		if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_DONT_SYNC &&
		    READ_ONCE(sbi->state) != MXFS_STATE_DEAD) {
			generic_fillattr(idmap, mask, inode, stat);
			return 0;
		}
		err = mxfs_enter_slow(sbi);
		if (err)
			return err;
	}
	mxfs_begin_inside(&op, sbi);
	err = mxfs_call(&op, getattr, inode, stat, mask, flags);
	if (!err) {
		stat->dev = inode->i_sb->s_dev;
		stat->nlink = mxfs_seen_links(MXFS_I(inode), stat->nlink);
	}
	mxfs_end(&op);
	return err;
}

/* The pages of maps when the size changes; with invalidate_lock held exclusively. @range: what mxfs_cache_let_go() ends */
static int mxfs_resize_begin(struct inode *inode, loff_t size, struct mxfs_range *range)
{
	loff_t old = i_size_read(inode);
	int err;

	if (size > old)
		mxfs_cache_grow(inode, inode);
	*range = (struct mxfs_range){ min(size, old), LLONG_MAX };
	err = mxfs_cache_drop_locked(inode, range->first, range->last);
	if (!err)
		mxfs_cache_hold(inode, range);
	return err;
}

/*
 * What the VFS decided before it called, it may have decided by old attributes. The size here is that of the file: whoever changes it has
 * i_rwsem, as the caller has, or is O_DIRECT that was queued, which is waited for. Until such a write has ended here it may be
 * longer below, and what it wrote may be in a page already: mxfs_cache_grow() would take that for what lies behind the end.
 */
static int mxfs_setattr_inside(struct mxfs_op *op, struct inode *inode, const struct iattr *iattr)
{
	bool resize = iattr->ia_valid & ATTR_SIZE;
	struct mxfs_range range;
	struct mxfs_attrs attr;
	int err;

	err = op->ops->refresh(inode);
	if (err)
		return err;
	/* fs/open.c: do_ftruncate() */
	if (resize && IS_APPEND(inode))
		return -EPERM;
	if (resize) {
		inode_dio_wait(inode);
		/*
		 * Pages of maps from the smaller size on are stale either way; faults wait until
		 * the size is what it will be.
		 */
		filemap_invalidate_lock(inode->i_mapping);
		err = mxfs_resize_begin(inode, iattr->ia_size, &range);
		if (err)
			goto out;
	}
	err = op->ops->setattr(inode, iattr, &attr);
	if (!attr.xfs)
		goto out;
	if (!err && (iattr->ia_valid & ATTR_MODE))
		forget_all_cached_acls(inode);
	mxfs_apply(inode, &attr);
	if (resize)
		mxfs_cache_cut(inode, i_size_read(inode));
out:
	if (resize) {
		mxfs_cache_let_go(inode);
		filemap_invalidate_unlock(inode->i_mapping);
	}
	return err;
}

int mxfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_SB(dentry->d_sb));
	if (err)
		return err;
	err = mxfs_setattr_inside(&op, d_inode(dentry), attr);
	mxfs_end(&op);
	return err;
}

static void mxfs_free_link(void *link)
{
	kfree(link);
}

static const char *mxfs_get_link(struct dentry *dentry, struct inode *inode,
				 struct delayed_call *done)
{
	struct mxfs_op op;
	char *link;
	int err;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return ERR_PTR(err);
	link = op.ops->get_link(inode);
	mxfs_end(&op);
	if (!IS_ERR(link))
		set_delayed_call(done, mxfs_free_link, link);
	return link;
}

/*
 * Of a symbolic link the VFS asks for a new atime when it is due by the attributes here (touch_atime()); XFS is asked the same
 * question again. Of files and directories file.c and XFS take care.
 */
static int mxfs_update_link_time(struct inode *inode, int flags)
{
	struct mxfs_attrs attr;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = op.ops->touch_link(inode, &attr);
	if (!err)
		mxfs_apply(inode, &attr);
	mxfs_end(&op);
	return err;
}

ssize_t mxfs_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct mxfs_op op;
	ssize_t ret;

	ret = mxfs_begin(&op, MXFS_SB(dentry->d_sb));
	if (ret)
		return ret;
	ret = op.ops->listxattr(d_inode(dentry), list, size);
	mxfs_end(&op);
	return ret;
}

/*
 * The VFS calls these for the upper inode after it has asked who may, and translated what is to be translated (a file
 * capability of a user namespace). Below, both must not happen again: the caller may be the kernel, on behalf of somebody
 * who may not; and a capability translated twice is another one.
 */
static int mxfs_xattr_get(const struct xattr_handler *handler, struct dentry *dentry,
			  struct inode *inode, const char *name, void *value, size_t size)
{
	struct mxfs_op op;
	int ret;

	ret = mxfs_begin(&op, MXFS_ISB(inode));
	if (ret)
		return ret;
	ret = op.ops->get_xattr(inode, name, value, size);
	mxfs_end(&op);
	return ret;
}

static int mxfs_xattr_set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			  struct dentry *dentry, struct inode *inode, const char *name,
			  const void *value, size_t size, int flags)
{
	struct mxfs_attrs attr;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = op.ops->set_xattr(inode, name, value, size, flags, &attr);
	if (attr.xfs) {
		/* By another name: trusted.SGI_ACL_FILE (fs/xfs/xfs_acl.c: xfs_forget_acl()). */
		if (!strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN))
			forget_all_cached_acls(inode);
		mxfs_apply(inode, &attr);
	}
	mxfs_end(&op);
	return err;
}

static const struct xattr_handler mxfs_xattr_handler = {
	.prefix = "", /* every name: what exists is XFS's business */
	.get = mxfs_xattr_get,
	.set = mxfs_xattr_set,
};

const struct xattr_handler *const mxfs_xattr_handlers[] = { &mxfs_xattr_handler, NULL };

struct posix_acl *mxfs_get_inode_acl(struct inode *inode, int type, bool rcu)
{
	struct posix_acl *acl;
	struct mxfs_op op;
	int err;

	if (rcu)
		return ERR_PTR(-ECHILD);
	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return ERR_PTR(err);
	acl = op.ops->get_acl(inode, type);
	mxfs_end(&op);
	return acl;
}

int mxfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_attrs attr;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = op.ops->set_acl(inode, acl, type, &attr);
	if (attr.xfs) {
		forget_all_cached_acls(inode);
		mxfs_apply(inode, &attr);
	}
	mxfs_end(&op);
	return err;
}

int mxfs_fileattr_get(struct dentry *dentry, struct mxfs_fileattr *fa)
{
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_SB(dentry->d_sb));
	if (err)
		return err;
	err = op.ops->fileattr_get(d_inode(dentry), fa);
	mxfs_end(&op);
	return err;
}

int mxfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct mxfs_fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_attrs attr;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = op.ops->fileattr_set(inode, fa, &attr);
	if (attr.xfs)
		mxfs_apply(inode, &attr);
	mxfs_end(&op);
	return err;
}

/* @flush: write what is stored in maps first; that takes a map of this very file away from who it is told to. */
static int mxfs_fiemap_nofault(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len, bool flush)
{
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	if (flush)
		err = mxfs_cache_flush(inode, 0, LLONG_MAX);
	if (!err)
		err = op.ops->fiemap(inode, info, start, len);
	mxfs_end(&op);
	return err;
}

/*
 * XFS copies each extent to user memory with the inode locked, and that memory may be a map of this volume, or one that
 * is long in coming: as in data/data.h, no page fault below, nor inside the gate. What was not in memory is brought in
 * between, and all is asked again.
 */
static int mxfs_fiemap(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len)
{
	struct fiemap_extent __user *end = info->fi_extents_start + info->fi_extents_max, *next;
	unsigned int flags = info->fi_flags;
	bool flush = true;
	size_t chunk;
	int err;

	for (;; flush = false) {
		err = mxfs_fiemap_nofault(inode, info, start, len, flush);
		next = info->fi_extents_start + info->fi_extents_mapped;
		if (err != -EFAULT || next >= end)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		chunk = min_t(size_t, (char __user *)end - (char __user *)next, SZ_64K);
		if (fault_in_writeable((char __user *)next, chunk) == chunk)
			return -EFAULT;
		info->fi_extents_mapped = 0;
		info->fi_flags = flags;
	}
}

const struct inode_operations mxfs_file_iops = {
	.permission = mxfs_permission,
	.getattr = mxfs_getattr,
	.setattr = mxfs_setattr,
	.listxattr = mxfs_listxattr,
	.get_inode_acl = mxfs_get_inode_acl,
	.set_acl = mxfs_set_acl,
	.fileattr_get = mxfs_fileattr_get,
	.fileattr_set = mxfs_fileattr_set,
	.fiemap = mxfs_fiemap,
};

const struct inode_operations mxfs_symlink_iops = {
	.permission = mxfs_permission,
	.getattr = mxfs_getattr,
	.setattr = mxfs_setattr,
	.listxattr = mxfs_listxattr,
	.get_link = mxfs_get_link,
	.update_time = mxfs_update_link_time,
};

const struct inode_operations mxfs_special_iops = {
	.permission = mxfs_permission,
	.getattr = mxfs_getattr,
	.setattr = mxfs_setattr,
	.listxattr = mxfs_listxattr,
	.get_inode_acl = mxfs_get_inode_acl,
	.set_acl = mxfs_set_acl,
};
