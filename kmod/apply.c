// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: attributes of the inodes that the VFS sees.
 *
 * They are a copy of the lower ones, and this is the only place that makes it: after every operation that changes
 * some, and once after each attach, because another node may have changed all of them.
 *
 * Several may copy at once (an asynchronous write that ends, a first look after an attach, a truncate), and not all of
 * them hold i_rwsem. So the lower values are read and stored in one section of i_lock: of two sections the later one
 * reads what is at least as new, and an older value never stays. An older size would be the worst: pages of maps past it
 * are taken for pages past the end, cleaned without being written, and can never be made writable again.
 *
 * What changes seldom is compared without the lock first. Somebody inside the section may be about to store a value from
 * before one that compares equal, so who has stored looks again, and stores again where the lower one has moved on. For
 * a look at the lower values that finds them equal, the unlock of the lower i_rwsem came before, or the end of a request.
 *
 * What another node may have changed includes the access control lists, which the VFS keeps beside the attributes:
 * they are forgotten together.
 */
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include "apply.h"
#include "compat.h"
#include "enter.h"

#define MXFS_FLAGS_COPIED (S_SYNC | S_DIRSYNC | S_APPEND | S_IMMUTABLE)

/* Whatever may be looked at together with the time of a change, and the size. */
static __always_inline bool mxfs_is_changed(const struct inode *inode, const struct inode *lower)
{
	return inode_get_mtime_nsec(inode) != inode_get_mtime_nsec(lower) ||
	       inode_get_ctime_nsec(inode) != inode_get_ctime_nsec(lower) ||
	       i_size_read(inode) != i_size_read(lower) || inode->i_blocks != lower->i_blocks ||
	       inode->i_mode != lower->i_mode || inode_get_mtime_sec(inode) != inode_get_mtime_sec(lower) ||
	       inode_get_ctime_sec(inode) != inode_get_ctime_sec(lower);
}

/* Under i_lock, or while nobody else can see the inode. */
static __always_inline void mxfs_store_changed(struct inode *inode, const struct inode *lower)
{
	inode->i_mode = READ_ONCE(lower->i_mode); /* a write clears set-user-ID */
	inode_set_mtime_to_ts(inode, inode_get_mtime(lower));
	inode_set_ctime_to_ts(inode, inode_get_ctime(lower));
	i_size_write(inode, i_size_read(lower));
	inode->i_blocks = lower->i_blocks;
}

/* An orphan has more links below than a program may see: those that keep it. */
static __always_inline unsigned int mxfs_links_of(const struct inode *inode, const struct inode *lower)
{
	return mxfs_seen_links(MXFS_I(inode), READ_ONCE(lower->i_nlink));
}

static __always_inline void mxfs_store_all(struct inode *inode, const struct inode *lower)
{
	mxfs_store_changed(inode, lower);
	inode->i_uid = lower->i_uid;
	inode->i_gid = lower->i_gid;
	set_nlink(inode, mxfs_links_of(inode, lower));
	inode_set_atime_to_ts(inode, inode_get_atime(lower));
	/* Times are XFS's business, and the VFS must not touch its copy of them; of links it knows when atime is due. */
	inode_set_flags(inode,
			(lower->i_flags & MXFS_FLAGS_COPIED) | S_NOCMTIME | (S_ISLNK(inode->i_mode) ? 0 : S_NOATIME),
			MXFS_FLAGS_COPIED | S_NOCMTIME | S_NOATIME);
}

/*
 * While this node owns the volume, the attributes of an inode that has its lower one are XFS's own, and for a
 * directory the VFS may look at them without asking mxfs_permission(), as it does where a file system has no
 * ->permission: most permissions looked at are of directories on the way to something. Under i_lock.
 */
static void mxfs_permit_fast(struct inode *inode)
{
	/* Not past the end of the lease, when mxfs_distrust_all() may have been here. */
	if (S_ISDIR(inode->i_mode) && mxfs_may_run(MXFS_ISB(inode)))
		inode->i_opflags |= IOP_FASTPERM;
}

/* Again, after nothing was allowed to start for a while: of an inode whose attributes are of this attach. */
void mxfs_trust_permission(struct inode *inode)
{
	spin_lock(&inode->i_lock);
	if (mxfs_attr_is_fresh(inode))
		mxfs_permit_fast(inode);
	spin_unlock(&inode->i_lock);
}

/**
 * mxfs_ask_permission - have the VFS ask mxfs_permission() from now on
 * @inode: any upper inode, under bind.lock
 */
static void mxfs_ask_permission(struct inode *inode)
{
	/* Not looked at before: mxfs_trust_permission(), outside the gates, may be about to set it. */
	spin_lock(&inode->i_lock);
	inode->i_opflags &= ~IOP_FASTPERM;
	spin_unlock(&inode->i_lock);
}

static void mxfs_forget_acls(struct inode *inode)
{
	/* Of most inodes there is none, and forgetting takes two atomic operations. */
	if (READ_ONCE(inode->i_acl) != ACL_NOT_CACHED || READ_ONCE(inode->i_default_acl) != ACL_NOT_CACHED)
		forget_all_cached_acls(inode);
}

/**
 * mxfs_copy_attr - take over all that the VFS looks at from the lower inode
 * @inode: upper, with its lower dentry set
 * @lower: lower
 *
 * Inside a gate, or while the mount is being set up.
 */
void mxfs_copy_attr(struct inode *inode, const struct inode *lower)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	u64 seq = READ_ONCE(MXFS_ISB(inode)->attach_seq);

	if (mxfs_is_new_inode(inode)) {
		/* Nobody else has it, nor anything to forget. */
		mxfs_store_all(inode, lower);
		WRITE_ONCE(mi->attr_seq, seq);
		mxfs_permit_fast(inode);
		return;
	}
	spin_lock(&inode->i_lock);
	do {
		mxfs_store_all(inode, lower);
		smp_mb(); /* the comment at the top: stored, then looked again */
	} while (unlikely(inode->i_nlink != mxfs_links_of(inode, lower) || mxfs_is_changed(inode, lower)));
	if (mi->attr_seq != seq) {
		/* Whoever reads one from now on reads it below, in the time of this attach. */
		mxfs_forget_acls(inode);
		/* Pairs with smp_load_acquire() in mxfs_attr_is_fresh(). */
		smp_store_release(&mi->attr_seq, seq);
	}
	mxfs_permit_fast(inode);
	spin_unlock(&inode->i_lock);
}

static noinline void mxfs_copy_changed(struct inode *inode, const struct inode *lower)
{
	spin_lock(&inode->i_lock);
	do {
		mxfs_store_changed(inode, lower);
		smp_mb(); /* as above */
	} while (unlikely(mxfs_is_changed(inode, lower)));
	spin_unlock(&inode->i_lock);
}

/* What a write changes, and no more: this is on the path of every one. */
void mxfs_copy_written(struct inode *inode, const struct inode *lower)
{
	/* The clock of file times ticks seldom: most writes that do not extend the file leave all as it is. */
	if (mxfs_is_changed(inode, lower))
		mxfs_copy_changed(inode, lower);
}

/* What making or removing a name changes in the directory and in the inode that has the name. */
void mxfs_copy_links(struct inode *inode, const struct inode *lower)
{
	if (inode->i_nlink == mxfs_links_of(inode, lower) && !mxfs_is_changed(inode, lower))
		return;
	spin_lock(&inode->i_lock);
	do {
		set_nlink(inode, mxfs_links_of(inode, lower));
		mxfs_store_changed(inode, lower);
		smp_mb(); /* as above */
	} while (unlikely(inode->i_nlink != mxfs_links_of(inode, lower) || mxfs_is_changed(inode, lower)));
	spin_unlock(&inode->i_lock);
}

/**
 * mxfs_distrust_names - have the VFS ask about all names that are known in a directory
 * @dir: upper, under bind.lock
 *
 * At the end of an attach, when the gates are closed and nobody stamps a name; and when nothing may start any more, at the
 * moment (the lease is over, the daemon gone) or for ever.
 */
static void mxfs_distrust_names(struct inode *dir)
{
	struct dentry *dentry, *child;

	spin_lock(&dir->i_lock);
	for_each_alias(dentry, dir) {
		spin_lock(&dentry->d_lock);
		hlist_for_each_entry(child, &dentry->d_children, d_sib) {
			spin_lock_nested(&child->d_lock, DENTRY_D_LOCK_NESTED);
			child->d_flags |= DCACHE_OP_REVALIDATE;
			spin_unlock(&child->d_lock);
		}
		spin_unlock(&dentry->d_lock);
	}
	spin_unlock(&dir->i_lock);
}

/**
 * mxfs_distrust - have the VFS ask for what it knows of a directory
 * @inode: any upper inode, under bind.lock
 */
void mxfs_distrust(struct inode *inode)
{
	if (!S_ISDIR(inode->i_mode))
		return;
	mxfs_ask_permission(inode);
	mxfs_distrust_names(inode);
}
