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
#include "compat.h"
#include "enter.h"
#include "local/bind.h"
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
 * mxfs_iget - the mxfs inode of a lower dentry
 * @sb: the upper superblock
 * @lower: a positive lower dentry
 * @created: it was made a moment ago
 *
 * Return: the inode with a reference, attributes copied; or an ERR_PTR.
 */
struct inode *mxfs_iget(struct super_block *sb, struct dentry *lower, bool created)
{
	struct inode *linode = d_inode(lower);
	struct mxfs_file_id key = { .ino = linode->i_ino, .gen = linode->i_generation };
	struct inode *inode;

	inode = mxfs_inode_get(sb, &key, created);
	if (IS_ERR(inode))
		return inode;
	mxfs_set_lower(inode, lower);
	mxfs_copy_attr(inode, linode);
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
		init_special_inode(inode, inode->i_mode, linode->i_rdev);
		break;
	}
	unlock_new_inode(inode);
	return inode;
}

static noinline int mxfs_enter_refresh(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	err = mxfs_refresh_attr(inode);
	mxfs_leave(sbi);
	return err;
}

int mxfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	int err;

	if (unlikely(!mxfs_may_run(sbi) || !mxfs_attr_is_fresh(inode))) {
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = mxfs_enter_refresh(inode);
		if (err)
			return err;
	}
	if (S_ISDIR(inode->i_mode))
		mxfs_trust_permission(inode);
	/* The VFS looked before it asked, when this may have been what another node has changed since. */
	if ((mask & MAY_WRITE) && unlikely(IS_IMMUTABLE(inode)))
		return -EPERM;
	return generic_permission(idmap, inode, mask);
}

int mxfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
		 unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct path lpath;
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
	lpath.mnt = sbi->lower;
	lpath.dentry = mxfs_lower(inode);
	if (IS_ERR(lpath.dentry)) {
		err = PTR_ERR(lpath.dentry);
		goto out;
	}
	err = mxfs_refresh_attr(inode);
	/* What vfs_getattr_nosec() prepares has been prepared for the upper inode. */
	if (!err)
		err = d_inode(lpath.dentry)->i_op->getattr(&nop_mnt_idmap, &lpath, stat, mask,
							   flags);
	if (err)
		goto out;
	stat->dev = inode->i_sb->s_dev;
	stat->nlink = mxfs_seen_links(MXFS_I(inode), stat->nlink);
out:
	mxfs_leave(sbi);
	return err;
}

/*
 * What the lower notify_change() is to do. Who may is decided there, by the attributes as they are; what else
 * the VFS decided before it called, it may have decided by old ones.
 */
static int mxfs_lower_iattr(struct inode *inode, struct inode *linode, const struct iattr *attr,
			    struct iattr *lattr)
{
	int err, kill;

	err = mxfs_refresh_attr(inode);
	if (err)
		return err;
	*lattr = *attr;
	/* ia_file is the upper file; the lower file system must not see it. */
	lattr->ia_valid &= ~ATTR_FILE;
	if (attr->ia_valid & ATTR_SIZE) {
		/* fs/open.c: do_ftruncate() */
		if (IS_APPEND(inode))
			return -EPERM;
		/* do_truncate() */
		kill = setattr_should_drop_suidgid(&nop_mnt_idmap, linode);
		if (kill && !(attr->ia_valid & (ATTR_UID | ATTR_GID)))
			lattr->ia_valid |= kill | ATTR_FORCE;
	}
	/*
	 * notify_change() refuses both at once (fs/attr.c), and the upper call has turned the one
	 * into the other.
	 */
	if (lattr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID))
		lattr->ia_valid &= ~ATTR_MODE;
	return 0;
}

int mxfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	struct inode *linode;
	struct iattr lattr;
	bool resize = attr->ia_valid & ATTR_SIZE;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower(inode);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	linode = d_inode(lower);
	err = mxfs_lower_iattr(inode, linode, attr, &lattr);
	if (err)
		goto out;

	if (resize) {
		/*
		 * Pages of maps from the smaller size on are stale either way; faults wait until
		 * the size is what it will be.
		 */
		filemap_invalidate_lock(inode->i_mapping);
		if (attr->ia_size > i_size_read(linode))
			mxfs_cache_grow(inode, i_size_read(linode));
		err = mxfs_cache_drop_locked(inode, min(attr->ia_size, i_size_read(inode)),
					     LLONG_MAX);
		if (err)
			goto out_unlock;
		err = get_write_access(linode);
		if (err)
			goto out_unlock;
	}
	inode_lock(linode);
	err = notify_change(&nop_mnt_idmap, lower, &lattr, NULL);
	inode_unlock(linode);
	if (resize) {
		put_write_access(linode);
		mxfs_cache_cut(inode, i_size_read(linode));
	}
	if (!err && (attr->ia_valid & ATTR_MODE))
		forget_all_cached_acls(inode);
	mxfs_copy_attr(inode, linode);
out_unlock:
	if (resize)
		filemap_invalidate_unlock(inode->i_mapping);
out:
	mxfs_leave(sbi);
	return err;
}

static void mxfs_free_link(void *link)
{
	kfree(link);
}

static const char *mxfs_get_link(struct dentry *dentry, struct inode *inode,
				 struct delayed_call *done)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	DEFINE_DELAYED_CALL(lower_done);
	struct dentry *lower;
	const char *link;
	int err;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	err = mxfs_enter(sbi);
	if (err)
		return ERR_PTR(err);
	lower = mxfs_lower(inode);
	if (IS_ERR(lower)) {
		link = ERR_CAST(lower);
		goto out;
	}
	link = vfs_get_link(lower, &lower_done);
	if (!IS_ERR(link)) {
		/*
		 * The lower string may live in the lower inode, which may be gone when the VFS
		 * walks this one.
		 */
		char *copy = kstrdup(link, GFP_KERNEL);

		do_delayed_call(&lower_done);
		link = copy ? copy : ERR_PTR(-ENOMEM);
		if (copy)
			set_delayed_call(done, mxfs_free_link, copy);
	}
out:
	mxfs_leave(sbi);
	return link;
}

/*
 * Of a symbolic link the VFS asks for a new atime when it is due by the attributes here (touch_atime()); XFS is asked the same
 * question again. Of files and directories file.c and XFS take care.
 */
static int mxfs_update_link_time(struct inode *inode, int flags)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct path lower;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower.mnt = sbi->lower;
	lower.dentry = mxfs_lower(inode);
	if (IS_ERR(lower.dentry)) {
		err = PTR_ERR(lower.dentry);
	} else {
		touch_atime(&lower);
		mxfs_copy_attr(inode, d_inode(lower.dentry));
	}
	mxfs_leave(sbi);
	return err;
}

ssize_t mxfs_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	ssize_t ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower(inode);
	ret = IS_ERR(lower) ? PTR_ERR(lower) : vfs_listxattr(lower, list, size);
	mxfs_leave(sbi);
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
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	int ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower(inode);
	ret = IS_ERR(lower) ? PTR_ERR(lower) : __vfs_getxattr(lower, d_inode(lower), name, value, size);
	mxfs_leave(sbi);
	return ret;
}

/* What xattr_permission() asks (fs/xattr.c), by the attributes as they are now. */
static int mxfs_may_set_xattr(struct inode *linode, const char *name)
{
	if (IS_IMMUTABLE(linode) || IS_APPEND(linode))
		return -EPERM;
	if (!strcmp(name, XATTR_NAME_CAPS) && !capable_wrt_inode_uidgid(&nop_mnt_idmap, linode, CAP_SETFCAP))
		return -EPERM;
	if (strncmp(name, XATTR_USER_PREFIX, XATTR_USER_PREFIX_LEN))
		return 0;
	if (S_ISDIR(linode->i_mode) && (linode->i_mode & S_ISVTX) && !inode_owner_or_capable(&nop_mnt_idmap, linode))
		return -EPERM;
	return generic_permission(&nop_mnt_idmap, linode, MAY_WRITE);
}

/* With both inodes locked. */
static int mxfs_xattr_set_lower(struct dentry *lower, const char *name, const void *value, size_t size, int flags)
{
	struct inode *linode = d_inode(lower);
	int err = mxfs_may_set_xattr(linode, name);

	if (err)
		return err;
	/* As __vfs_setxattr_noperm(): a write has to look again whether there is a capability to take away. */
	if (!strncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN))
		linode->i_flags &= ~S_NOSEC;
	if (!value)
		return __vfs_removexattr(&nop_mnt_idmap, lower, name);
	return __vfs_setxattr(&nop_mnt_idmap, lower, linode, name, value, size, flags);
}

static int mxfs_xattr_set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
			  struct dentry *dentry, struct inode *inode, const char *name,
			  const void *value, size_t size, int flags)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower(inode);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	inode_lock(d_inode(lower));
	err = mxfs_xattr_set_lower(lower, name, value, size, flags);
	inode_unlock(d_inode(lower));
	/* By another name: trusted.SGI_ACL_FILE (fs/xfs/xfs_acl.c: xfs_forget_acl()). */
	if (!strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN))
		forget_all_cached_acls(inode);
	mxfs_copy_attr(inode, d_inode(lower));
out:
	mxfs_leave(sbi);
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
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct posix_acl *acl;
	struct dentry *lower;
	int err;

	if (rcu)
		return ERR_PTR(-ECHILD);
	err = mxfs_enter(sbi);
	if (err)
		return ERR_PTR(err);
	lower = mxfs_lower(inode);
	acl = IS_ERR(lower) ? ERR_CAST(lower) : get_inode_acl(d_inode(lower), type);
	mxfs_leave(sbi);
	return acl;
}

int mxfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	const char *name = posix_acl_xattr_name(type);
	struct dentry *lower;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower(inode);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	if (acl)
		err = vfs_set_acl(&nop_mnt_idmap, lower, name, acl);
	else
		err = vfs_remove_acl(&nop_mnt_idmap, lower, name);
	forget_all_cached_acls(inode);
	mxfs_copy_attr(inode, d_inode(lower));
out:
	mxfs_leave(sbi);
	return err;
}

int mxfs_fileattr_get(struct dentry *dentry, struct mxfs_fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower(inode);
	err = IS_ERR(lower) ? PTR_ERR(lower) : vfs_fileattr_get(lower, fa);
	mxfs_leave(sbi);
	return err;
}

int mxfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct mxfs_fileattr *fa)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower(inode);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
	} else {
		err = vfs_fileattr_set(&nop_mnt_idmap, lower, fa);
		mxfs_copy_attr(inode, d_inode(lower));
	}
	mxfs_leave(sbi);
	return err;
}

/* @flush: write what is stored in maps first; that takes a map of this very file away from who it is told to. */
static int mxfs_fiemap_nofault(struct inode *inode, struct fiemap_extent_info *info, u64 start, u64 len, bool flush)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct dentry *lower;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower(inode);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	if (!d_inode(lower)->i_op->fiemap) {
		err = -EOPNOTSUPP;
		goto out;
	}
	if (flush)
		err = mxfs_cache_flush(inode, 0, LLONG_MAX);
	if (err)
		goto out;
	pagefault_disable();
	err = d_inode(lower)->i_op->fiemap(d_inode(lower), info, start, len);
	pagefault_enable();
out:
	mxfs_leave(sbi);
	return err;
}

/*
 * XFS copies each extent to user memory with the inode locked, and that memory may be a map of this volume, or one that
 * is long in coming: as in vfs/file.c, no page fault below, nor inside the gate. What was not in memory is brought in
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
