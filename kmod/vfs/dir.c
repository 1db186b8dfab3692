// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: names.
 *
 * A dentry is stamped with the attach it was last compared in. While this node owns the volume,
 * every change of a name goes through here, so a stamp of the present attach needs no second look, and the
 * VFS does not ask for one: DCACHE_OP_REVALIDATE is set when the attach ends. After another node had the
 * volume, the name is looked up again below and the dentry is dropped when it means something else now.
 */
#include <linux/exportfs.h>
#include <linux/namei.h>
#include <linux/uaccess.h>
#include <linux/security.h>
#include <linux/slab.h>
#include "compat.h"
#include "enter.h"
#include "local/bind.h"
#include "local/orphan.h"
#include "local/own.h"
#include "vfs/vfs.h"

static void mxfs_ask_about(struct dentry *dentry, bool ask)
{
	spin_lock(&dentry->d_lock);
	if (ask)
		dentry->d_flags |= DCACHE_OP_REVALIDATE;
	/* An operation that began before the end of the lease may end after mxfs_distrust_all() was here. */
	else if (mxfs_may_run(MXFS_SB(dentry->d_sb)))
		dentry->d_flags &= ~DCACHE_OP_REVALIDATE;
	spin_unlock(&dentry->d_lock);
}

/* Inside the operation gate: the name means below what it means here, and need not be asked about in this attach. */
static void mxfs_stamp(struct dentry *dentry)
{
	dentry->d_time = MXFS_SB(dentry->d_sb)->attach_seq;
	if (unlikely(dentry->d_flags & DCACHE_OP_REVALIDATE))
		mxfs_ask_about(dentry, false);
}

/* A new dentry, which nobody else sees yet; it gets into the cache with a stamp, or not at all. */
static int __mxfs_hot mxfs_d_init(struct dentry *dentry)
{
	dentry->d_flags &= ~DCACHE_OP_REVALIDATE;
	return 0;
}

/*
 * Is the lower dentry of a name still what the VFS looked up? Another node may have replaced it
 * since.
 */
static bool mxfs_is_same(const struct dentry *dentry, const struct dentry *lower)
{
	struct inode *inode = d_inode(dentry), *linode = d_inode(lower);

	if (!inode || !linode)
		return !inode && !linode;
	return linode->i_ino == MXFS_I(inode)->ino && linode->i_generation == inode->i_generation;
}

/*
 * The lower dentry of a file whose last name went stays positive until the upper inode is evicted
 * (mxfs_leave_negative()). Whoever looks that name up before takes it out of the way.
 */
static bool mxfs_drop_removed(struct dentry *lower)
{
	if (d_really_is_negative(lower) || d_is_dir(lower) || d_inode(lower)->i_nlink)
		return false;
	d_drop(lower);
	return true;
}

/* As mxfs_lookup_lower(), for a name that a program may have removed. */
static struct dentry *__mxfs_hot mxfs_lookup_name(struct dentry *lower_dir, const struct qstr *name)
{
	struct dentry *lower;

	lower = mxfs_lookup_lower(lower_dir, name->name, name->len);
	while (!IS_ERR(lower) && unlikely(mxfs_drop_removed(lower))) {
		dput(lower);
		lower = mxfs_lookup_lower(lower_dir, name->name, name->len);
	}
	return lower;
}

/* As mxfs_begin_create(); the upper directory is locked, so nothing is removed meanwhile. */
static struct dentry *mxfs_begin_name(struct dentry *lower_dir, const struct qstr *name)
{
	struct dentry *lower, *found;

	lower = mxfs_begin_create(lower_dir, name->name, name->len);
	if (likely(lower != ERR_PTR(-EEXIST)))
		return lower;
	found = mxfs_lookup_name(lower_dir, name);
	if (IS_ERR(found))
		return found;
	if (d_really_is_negative(found))
		lower = mxfs_begin_create(lower_dir, name->name, name->len);
	dput(found);
	return lower;
}

static noinline int mxfs_d_revalidate_slow(struct dentry *dentry)
{
	struct mxfs_sb *sbi = MXFS_SB(dentry->d_sb);
	struct inode *inode = d_inode(dentry);
	struct dentry *parent, *lower_dir, *lower;
	struct name_snapshot name;
	int ret;

	if (IS_ROOT(dentry))
		return 1;
	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	if (mxfs_is_own_name(d_inode(parent), &name.name)) {
		ret = 1;
		mxfs_stamp(dentry);
		goto out;
	}
	lower_dir = mxfs_lower(d_inode(parent));
	if (IS_ERR(lower_dir)) {
		ret = PTR_ERR(lower_dir) == -ESTALE ? 0 : PTR_ERR(lower_dir);
		goto out;
	}
	lower = mxfs_lookup_name(lower_dir, &name.name);
	if (IS_ERR(lower)) {
		ret = PTR_ERR(lower) == -ESTALE || PTR_ERR(lower) == -ENOENT ? 0 : PTR_ERR(lower);
		goto out;
	}
	ret = mxfs_is_same(dentry, lower);
	if (ret && inode) {
		mxfs_set_lower(inode, lower);
		ret = mxfs_refresh_attr(inode) ?: 1;
	}
	if (ret == 1)
		mxfs_stamp(dentry);
	dput(lower);
out:
	release_dentry_name_snapshot(&name);
	dput(parent);
	mxfs_leave(sbi);
	return ret;
}

#ifdef MXFS_HAVE_D_REVALIDATE_DIR
static int __mxfs_hot mxfs_d_revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
			     unsigned int flags)
#else
static int __mxfs_hot mxfs_d_revalidate(struct dentry *dentry, unsigned int flags)
#endif
{
	struct mxfs_sb *sbi = MXFS_SB(dentry->d_sb);

	/* Of this attach, and asked about because it was renamed, or because the lease was over in between. */
	if (likely(mxfs_may_run(sbi) && READ_ONCE(dentry->d_time) == READ_ONCE(sbi->attach_seq)))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	return mxfs_d_revalidate_slow(dentry);
}

const struct dentry_operations mxfs_dops = {
	.d_init = mxfs_d_init,
	.d_revalidate = mxfs_d_revalidate,
};

static struct dentry *__mxfs_hot mxfs_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct mxfs_sb *sbi = MXFS_ISB(dir);
	struct dentry *lower_dir, *lower, *ret;
	struct inode *inode = NULL;
	int err;

	if (dentry->d_name.len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	err = mxfs_enter(sbi);
	if (err)
		return ERR_PTR(err);
	if (mxfs_is_own_name(dir, &dentry->d_name)) {
		mxfs_stamp(dentry);
		ret = d_splice_alias(NULL, dentry);
		goto out;
	}
	lower_dir = mxfs_lower(dir);
	if (IS_ERR(lower_dir)) {
		ret = lower_dir;
		goto out;
	}
	lower = mxfs_lookup_name(lower_dir, &dentry->d_name);
	if (IS_ERR(lower)) {
		ret = lower;
		goto out;
	}
	if (d_really_is_positive(lower))
		inode = mxfs_iget(dir->i_sb, lower, false);
	dput(lower);
	mxfs_stamp(dentry);
	ret = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(ret))
		mxfs_stamp(ret);
out:
	mxfs_leave(sbi);
	return ret;
}

/* What to make; at most one of @target and @existing. */
struct mxfs_new {
	umode_t mode;
	dev_t rdev;
	const char *target;
	struct inode *existing;
};

/*
 * May the caller change names in this lower directory? The VFS has checked the upper one and holds its lock. But another node
 * may have owned the volume between that and the gate, and may have changed who may do what: permissions are looked at once
 * more, as they are in this attach.
 */
static int mxfs_may_change(struct inode *ldir)
{
	if (IS_DEADDIR(ldir))
		return -ENOENT;
	if (IS_IMMUTABLE(ldir))
		return -EPERM;
	/* What it finds first; most names are changed by whom the directory belongs to. */
	if (likely(uid_eq(current_fsuid(), ldir->i_uid) && (ldir->i_mode & 0300) == 0300))
		return 0;
	return generic_permission(&nop_mnt_idmap, ldir, MAY_WRITE | MAY_EXEC);
}

/*
 * What vfs_create() does for the lower name, with the lower directory locked. As for mxfs_unlink_lower(), the rest is above;
 * the set-group-ID bit depends on the directory as it is now.
 */
static int mxfs_create_lower(struct dentry *lower_dir, struct dentry *lower, umode_t mode)
{
	struct inode *ldir = d_inode(lower_dir);
	int err;

	err = mxfs_may_change(ldir);
	if (err)
		return err;
	return mxfs_call_create(ldir, lower, mode_strip_sgid(&nop_mnt_idmap, ldir, mode));
}

static int mxfs_make_lower(struct dentry *lower_dir, struct dentry **lower,
			   const struct mxfs_new *new)
{
	struct dentry *old;

	if (new->existing) {
		old = mxfs_lower(new->existing);
		if (IS_ERR(old))
			return PTR_ERR(old);
		return vfs_link(old, &nop_mnt_idmap, d_inode(lower_dir), *lower, NULL);
	}
	switch (new->mode & S_IFMT) {
	case S_IFREG:
		return mxfs_create_lower(lower_dir, *lower, new->mode);
	case S_IFDIR:
		return mxfs_vfs_mkdir(lower_dir, lower, new->mode);
	case S_IFLNK:
		return mxfs_vfs_symlink(lower_dir, *lower, new->target);
	default:
		return mxfs_vfs_mknod(lower_dir, *lower, new->mode, new->rdev);
	}
}

/* Inside the operation gate. A dentry that is being looked up gets its inode, too. */
static int mxfs_make_inside(struct inode *dir, struct dentry *dentry, const struct mxfs_new *new)
{
	struct dentry *lower_dir, *lower;
	struct inode *inode;
	int err;

	lower_dir = mxfs_lower(dir);
	if (IS_ERR(lower_dir))
		return PTR_ERR(lower_dir);
	/* Another node may have made the name between the look-up above and now: -EEXIST. */
	lower = mxfs_begin_name(lower_dir, &dentry->d_name);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	err = mxfs_make_lower(lower_dir, &lower, new);
	if (err)
		goto out;
	if (d_really_is_negative(lower)) {
		/* mkdir may instantiate another dentry (fs/namei.c: vfs_mkdir()); XFS does not. */
		d_drop(dentry);
		goto out;
	}
	inode = mxfs_iget(dir->i_sb, lower, !new->existing);
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		d_drop(dentry);
		goto out;
	}
	mxfs_copy_links(dir, d_inode(lower_dir));
	mxfs_stamp(dentry);
	if (d_in_lookup(dentry))
		d_add(dentry, inode);
	else
		d_instantiate(dentry, inode);
out:
	mxfs_end_change(lower_dir, lower);
	return err;
}

/*
 * The name of the module's own folder cannot be had: EPERM, which is what mkdir(2), link(2) and their like say where a file
 * system does not support the creation of something; EACCES would be a matter of permissions, which root has, and
 * EEXIST would send programs to look for what nobody sees.
 */
static int __mxfs_hot mxfs_make(struct inode *dir, struct dentry *dentry, const struct mxfs_new *new)
{
	struct mxfs_sb *sbi = MXFS_ISB(dir);
	int err;

	if (mxfs_is_own_name(dir, &dentry->d_name))
		return -EPERM;
	err = mxfs_enter(sbi);
	if (err)
		return err;
	err = mxfs_make_inside(dir, dentry, new);
	if (!err && new->existing && unlikely(MXFS_I(new->existing)->kept))
		mxfs_orphan_named(new->existing);
	mxfs_leave(sbi);
	return err;
}

/*
 * open(2) of a name that is not cached. With O_CREAT the file is made at once, which looks its name up
 * below once instead of twice; what exists already is left to the VFS, as without O_CREAT.
 */
static int __mxfs_hot mxfs_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file,
			    unsigned int open_flag, umode_t mode)
{
	struct mxfs_new new = { .mode = (mode & S_IALLUGO) | S_IFREG };
	struct dentry *found = NULL;
	int err;

	if (open_flag & O_CREAT) {
		err = mxfs_make(dir, dentry, &new);
		if (!err) {
			file->f_mode |= FMODE_CREATED;
			return finish_open(file, dentry, NULL);
		}
		/* A negative dentry of before is wrong now: the VFS looks again (ESTALE). */
		if (err == -EEXIST && !d_in_lookup(dentry) && !(open_flag & O_EXCL))
			return -ESTALE;
		if (err != -EEXIST || (open_flag & O_EXCL))
			return err;
	}
	if (d_in_lookup(dentry)) {
		found = mxfs_lookup(dir, dentry, 0);
		if (IS_ERR(found))
			return PTR_ERR(found);
		/* It was there a moment ago: let the VFS begin again, which may make it then. */
		if ((open_flag & O_CREAT) && d_is_negative(found ? found : dentry)) {
			dput(found);
			return -ESTALE;
		}
	}
	return finish_no_open(file, found);
}

#ifdef MXFS_HAVE_CREATE_NO_EXCL
static int mxfs_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       umode_t mode)
#else
static int mxfs_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		       umode_t mode, bool excl)
#endif
{
	return mxfs_make(dir, dentry, &(struct mxfs_new){ .mode = (mode & S_IALLUGO) | S_IFREG });
}

static int mxfs_make_dir(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	return mxfs_make(dir, dentry, &(struct mxfs_new){ .mode = (mode & ~S_IFMT) | S_IFDIR });
}

#ifdef MXFS_HAVE_MKDIR_DENTRY
static struct dentry *mxfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
				 umode_t mode)
{
	return ERR_PTR(mxfs_make_dir(dir, dentry, mode));
}
#else
static int mxfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		      umode_t mode)
{
	return mxfs_make_dir(dir, dentry, mode);
}
#endif

static int mxfs_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		      umode_t mode, dev_t rdev)
{
	return mxfs_make(dir, dentry, &(struct mxfs_new){ .mode = mode, .rdev = rdev });
}

static int mxfs_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			const char *target)
{
	return mxfs_make(dir, dentry, &(struct mxfs_new){ .mode = S_IFLNK, .target = target });
}

static int mxfs_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	return mxfs_make(dir, dentry, &(struct mxfs_new){ .existing = d_inode(old) });
}

/* Is the caller allowed to remove this name? As mxfs_may_change(). */
static int mxfs_may_unlink(struct inode *ldir, struct inode *linode)
{
	int err = mxfs_may_change(ldir);

	if (err)
		return err;
	if (IS_APPEND(ldir) || IS_IMMUTABLE(linode) || IS_APPEND(linode) ||
	    check_sticky(&nop_mnt_idmap, ldir, linode))
		return -EPERM;
	return 0;
}

/*
 * What vfs_unlink() does for the lower name, with the lower directory locked. What it looks at besides permissions
 * (mounts, leases, swap files, watches, security modules) is above, where the VFS has looked.
 */
static int mxfs_unlink_lower(struct dentry *lower_dir, struct dentry *lower)
{
	struct inode *linode = d_inode(lower);
	int err;

	inode_lock(linode);
	err = d_inode(lower_dir)->i_op->unlink(d_inode(lower_dir), lower);
	inode_unlock(linode);
	return err;
}

/*
 * The common case: the lower dentry that the inode holds is the one of this name, and need not be looked up.
 *
 * A file that nobody holds is freed when its upper inode goes, in a moment. Until then the dentry stays in
 * the cache, to become a negative one, as it does on XFS: a next file of that name need not be looked for on disk.
 *
 * Return: whether it was; another name (a hard link), or none (found by handle), is not.
 */
static bool mxfs_remove_known(struct dentry *lower_dir, struct dentry *dentry, struct dentry *known, int *err)
{
	bool same;

	inode_lock_nested(d_inode(lower_dir), I_MUTEX_PARENT);
	/* Names in a locked directory do not change. */
	same = known->d_parent == lower_dir && !d_unhashed(known) &&
	       known->d_name.len == dentry->d_name.len &&
	       !memcmp(known->d_name.name, dentry->d_name.name, dentry->d_name.len);
	if (likely(same)) {
		*err = mxfs_unlink_lower(lower_dir, known);
		if (!*err && (d_inode(known)->i_nlink || d_count(dentry) > 1))
			d_drop(known);
	}
	inode_unlock(d_inode(lower_dir));
	return same;
}

static int mxfs_remove_name(struct dentry *lower_dir, struct dentry *dentry)
{
	struct dentry *lower;
	int err;

	lower = mxfs_begin_remove(lower_dir, dentry->d_name.name, dentry->d_name.len);
	if (IS_ERR(lower))
		return PTR_ERR(lower) == -ENOENT ? -ESTALE : PTR_ERR(lower);
	if (!mxfs_is_same(dentry, lower)) {
		err = -ESTALE;
	} else if (d_is_dir(dentry)) {
		err = mxfs_vfs_rmdir(lower_dir, lower);
	} else {
		err = mxfs_unlink_lower(lower_dir, lower);
		if (!err)
			d_delete(lower);
	}
	mxfs_end_change(lower_dir, lower);
	return err;
}

static int __mxfs_hot mxfs_remove(struct inode *dir, struct dentry *dentry, bool is_dir)
{
	struct mxfs_sb *sbi = MXFS_ISB(dir);
	struct inode *inode = d_inode(dentry);
	struct dentry *lower_dir, *known;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower_dir = mxfs_lower(dir);
	/* In memory below before its name goes: it may be held here, and is kept then (local/orphan.c). */
	known = mxfs_lower(inode);
	if (IS_ERR(lower_dir) || IS_ERR(known)) {
		err = PTR_ERR(IS_ERR(lower_dir) ? lower_dir : known);
		goto out;
	}
	if (!is_dir) {
		err = mxfs_may_unlink(d_inode(lower_dir), d_inode(known)) ?: mxfs_orphan_prepare(inode, known);
		if (err)
			goto out;
	}
	if (is_dir || !mxfs_remove_known(lower_dir, dentry, known, &err))
		err = mxfs_remove_name(lower_dir, dentry);
	mxfs_copy_links(dir, d_inode(lower_dir));
	mxfs_copy_links(inode, d_inode(known));
	if (!err) {
		if (is_dir)
			clear_nlink(inode);
		/* The name is known to be free: a negative dentry of this attach. */
		mxfs_stamp(dentry);
	}
out:
	mxfs_leave(sbi);
	return err;
}

static int __mxfs_hot mxfs_unlink(struct inode *dir, struct dentry *dentry)
{
	return mxfs_remove(dir, dentry, false);
}

static int mxfs_rmdir(struct inode *dir, struct dentry *dentry)
{
	return mxfs_remove(dir, dentry, true);
}

static int mxfs_acceptable(void *context, struct dentry *dentry)
{
	return 1;
}

/* The topmost ancestor that a lower dentry hangs from, with a reference: the root, or what was found by handle. */
static struct dentry *mxfs_topmost(struct dentry *lower)
{
	struct dentry *parent;

	dget(lower);
	while (!IS_ROOT(lower)) {
		parent = dget_parent(lower);
		dput(lower);
		lower = parent;
	}
	return lower;
}

/* Have what hangs in the air hung up where it belongs. A directory has one dentry, which is moved. */
static int mxfs_connect(struct mxfs_sb *sbi, struct dentry *top)
{
	int words = MXFS_FH_WORDS, type;
	u32 fh[MXFS_FH_WORDS] = {};
	const struct cred *old_cred;
	struct dentry *found;

	type = exportfs_encode_inode_fh(d_inode(top), (struct fid *)fh, &words, NULL, 0);
	if (type < 0 || type == FILEID_INVALID)
		return -EOVERFLOW;
	/* It reads the directories above, which the caller need not be allowed to. */
	old_cred = override_creds(sbi->cred);
	found = exportfs_decode_fh_raw(sbi->lower, (struct fid *)fh, words, type, EXPORT_FH_DIR_ONLY, mxfs_acceptable, NULL);
	revert_creds(old_cred);
	if (IS_ERR_OR_NULL(found))
		return found ? PTR_ERR(found) : -ESTALE;
	dput(found);
	return found == top && !IS_ROOT(top) ? 0 : -ESTALE;
}

/**
 * mxfs_connected_lower - the lower dentry of a directory, connected to the root
 * @dir: upper, inside the operation gate
 *
 * What is found by handle may hang in the air, and what is made below hangs there with it; lock_rename() of two
 * directories needs their common ancestor.
 *
 * Return: as mxfs_lower().
 */
static struct dentry *mxfs_connected_lower(struct inode *dir)
{
	struct mxfs_sb *sbi = MXFS_ISB(dir);
	struct dentry *lower = mxfs_lower(dir), *top;
	int err = 0;

	if (IS_ERR(lower))
		return lower;
	/* Once, or once more for each ancestor that another task finds by handle and puts in between. */
	while (!err) {
		top = mxfs_topmost(lower);
		if (top == lower->d_sb->s_root) {
			dput(top);
			return lower;
		}
		err = fatal_signal_pending(current) ? -EINTR : mxfs_connect(sbi, top);
		dput(top);
	}
	return ERR_PTR(err);
}

static int mxfs_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
		       struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)
{
	struct mxfs_sb *sbi = MXFS_ISB(old_dir);
	struct inode *victim = flags & RENAME_EXCHANGE ? NULL : d_inode(new_dentry);
	struct dentry *lower_old_dir, *lower_new_dir, *lower;
	struct mxfs_renaming r = { .flags = flags };
	int err;

	if (victim && S_ISDIR(victim->i_mode))
		victim = NULL;
	if (mxfs_is_own_name(new_dir, &new_dentry->d_name))
		return -EPERM; /* as mxfs_make() */
	err = mxfs_enter(sbi);
	if (err)
		return err;
	if (old_dir == new_dir) {
		lower_old_dir = mxfs_lower(old_dir);
		lower_new_dir = lower_old_dir;
	} else {
		lower_old_dir = mxfs_connected_lower(old_dir);
		lower_new_dir = mxfs_connected_lower(new_dir);
	}
	if (IS_ERR(lower_old_dir) || IS_ERR(lower_new_dir)) {
		err = PTR_ERR(IS_ERR(lower_old_dir) ? lower_old_dir : lower_new_dir);
		goto out;
	}
	if (victim) {
		lower = mxfs_lower(victim);
		err = IS_ERR(lower) ? PTR_ERR(lower) : mxfs_orphan_prepare(victim, lower);
		if (err)
			goto out;
	}

	r.old_dir = lower_old_dir;
	r.new_dir = lower_new_dir;
	err = mxfs_begin_rename(&r, &old_dentry->d_name, &new_dentry->d_name);
	if (!err && unlikely(mxfs_drop_removed(r.new))) {
		mxfs_end_rename(&r);
		err = mxfs_begin_rename(&r, &old_dentry->d_name, &new_dentry->d_name);
	}
	if (err)
		goto out;
	if (mxfs_is_same(old_dentry, r.old) && mxfs_is_same(new_dentry, r.new))
		err = mxfs_vfs_rename(&r);
	else
		err = -ESTALE;
	if (!err) {
		mxfs_copy_attr(old_dir, d_inode(lower_old_dir));
		mxfs_copy_attr(new_dir, d_inode(lower_new_dir));
		/*
		 * VFS moves the upper dentries after this; both names are of this attach then. Whoever goes through
		 * the directories meanwhile (mxfs_distrust_names()) may see them in neither: they are asked about.
		 */
		mxfs_stamp(old_dentry);
		mxfs_stamp(new_dentry);
		mxfs_ask_about(old_dentry, true);
		mxfs_ask_about(new_dentry, true);
	}
	mxfs_end_rename(&r);
	if (!err) {
		lower = mxfs_lower(d_inode(old_dentry));
		if (!IS_ERR(lower))
			mxfs_copy_attr(d_inode(old_dentry), d_inode(lower));
		if (d_really_is_positive(new_dentry)) {
			lower = mxfs_lower(d_inode(new_dentry));
			if (!IS_ERR(lower))
				mxfs_copy_attr(d_inode(new_dentry), d_inode(lower));
		}
	}
out:
	mxfs_leave(sbi);
	return err;
}

/*
 * O_TMPFILE: made below in the right directory, so that group, default ACL and quota are right. As what is held and has
 * no name it is kept through a change of owner.
 */
static int mxfs_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct mxfs_sb *sbi = MXFS_ISB(dir);
	struct path lpath;
	struct file *lower_file;
	struct inode *inode;
	int err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	lpath.mnt = sbi->lower;
	lpath.dentry = mxfs_lower(dir);
	if (IS_ERR(lpath.dentry)) {
		err = PTR_ERR(lpath.dentry);
		goto out;
	}
	/* O_EXCL ("never to be linked") is kept above; below it must be linkable. */
	lower_file = kernel_tmpfile_open(
		&nop_mnt_idmap, &lpath, mode,
		(file->f_flags & ~(O_EXCL | O_CREAT | O_TRUNC)) | O_LARGEFILE, current_cred());
	if (IS_ERR(lower_file)) {
		err = PTR_ERR(lower_file);
		goto out;
	}
	inode = mxfs_iget(dir->i_sb, lower_file->f_path.dentry, true);
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		goto out_fput;
	}
	set_nlink(inode, 1);
	d_tmpfile(file, inode);
	mxfs_stamp(file->f_path.dentry);
out_fput:
	__fput_sync(lower_file);
out:
	mxfs_leave(sbi);
	return finish_open_simple(file, err);
}

/*
 * A user's memory may have to be brought in, by whoever makes others wait as long as he likes: not with the gate passed, nor
 * with a lock of XFS held. So the first names go into memory of ours, and from there to the user, which brings his memory in;
 * then XFS puts names straight into it for as long as it is there. It is not told why that ended (the buffer is full, or more
 * of it has to be brought in, or there are no more names): the next names from memory of ours tell. Most directories
 * end with the first.
 */
#define MXFS_NAMES_FIRST SZ_1K
#define MXFS_NAMES_BYTES SZ_8K

struct mxfs_name {
	u64 ino;
	loff_t pos;
	u16 len;
	u8 type;
	char name[];
};

struct mxfs_names {
	struct dir_context ctx;
	bool is_root;
	bool full;
	unsigned int used, room;
	char data[] __aligned(__alignof__(struct mxfs_name));
};

static bool mxfs_names_actor(struct dir_context *ctx, const char *name, int len, loff_t pos, u64 ino, unsigned int type)
{
	struct mxfs_names *names = container_of(ctx, struct mxfs_names, ctx);
	struct mxfs_name *entry = (void *)(names->data + names->used);
	unsigned int size = ALIGN(sizeof(*entry) + len, __alignof__(struct mxfs_name));

	if (unlikely(names->is_root) && len == sizeof(MXFS_OWN) - 1 && !memcmp(name, MXFS_OWN, len))
		return true;
	if (names->used + size > names->room) {
		names->full = true;
		return false;
	}
	entry->ino = ino;
	entry->pos = pos;
	entry->len = len;
	entry->type = type;
	memcpy(entry->name, name, len);
	names->used += size;
	return true;
}

/* One buffer an open file: f_pos_lock is held by getdents(2), and who calls from the kernel has a file of its own. */
static struct mxfs_names *mxfs_get_names(struct file *file)
{
	struct mxfs_open *open = file->private_data;

	if (!open->names)
		open->names = kmalloc(MXFS_NAMES_BYTES, GFP_KERNEL);
	return open->names;
}

/* What iterate_dir() does besides has been done above. Inside the gate. */
static int mxfs_iterate_lower(struct file *lower, struct dir_context *ctx)
{
	struct inode *linode = file_inode(lower);
	int err;

	err = down_read_killable(&linode->i_rwsem);
	if (err)
		return err;
	err = IS_DEADDIR(linode) ? -ENOENT : lower->f_op->iterate_shared(lower, ctx);
	inode_unlock_shared(linode);
	return err;
}

/* Reads names from @pos on into memory of ours. The root's all go that way: one of them is not shown. */
static int mxfs_read_names(struct file *file, loff_t pos, struct mxfs_names **names)
{
	struct mxfs_sb *sbi = mxfs_file_sb(file);
	struct mxfs_names *into = NULL;
	struct file *lower;
	int err;

	*names = NULL;
	err = mxfs_enter(sbi);
	if (err)
		return err;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	into = mxfs_get_names(file);
	if (!into) {
		err = -ENOMEM;
		goto out;
	}
	memset(into, 0, sizeof(*into));
	into->ctx.actor = mxfs_names_actor;
	into->ctx.pos = pos;
	into->is_root = file_inode(file) == d_inode(file_inode(file)->i_sb->s_root);
	into->room = (into->is_root ? MXFS_NAMES_BYTES : MXFS_NAMES_FIRST) - sizeof(*into);
	err = mxfs_iterate_lower(lower, &into->ctx);
	file_accessed(lower);
out:
	mxfs_leave(sbi);
	/* What was read before an error is shown before it. */
	*names = into;
	return err;
}

/* Names straight to who asked, as far as that takes no page fault. An error is met again by mxfs_read_names(). */
static void mxfs_iterate_nofault(struct file *file, struct dir_context *ctx)
{
	struct mxfs_sb *sbi = mxfs_file_sb(file);
	struct file *lower;

	if (mxfs_enter(sbi))
		return;
	lower = mxfs_lower_file(file);
	if (!IS_ERR(lower)) {
		pagefault_disable();
		mxfs_iterate_lower(lower, ctx);
		pagefault_enable();
	}
	mxfs_leave(sbi);
}

static int mxfs_iterate(struct file *file, struct dir_context *ctx)
{
	const struct mxfs_name *entry;
	struct mxfs_names *names;
	unsigned int at;
	int err;

	for (;;) {
		err = mxfs_read_names(file, ctx->pos, &names);
		if (err && !names)
			return err;
		for (at = 0; at < names->used;
		     at += ALIGN(sizeof(*entry) + entry->len, __alignof__(struct mxfs_name))) {
			entry = (const void *)(names->data + at);
			ctx->pos = entry->pos;
			if (!dir_emit(ctx, entry->name, entry->len, entry->ino, entry->type))
				return 0;
		}
		ctx->pos = names->ctx.pos;
		if (err || !names->full)
			return err;
		if (!names->is_root)
			mxfs_iterate_nofault(file, ctx);
	}
}

const struct inode_operations mxfs_dir_iops = {
	.lookup = mxfs_lookup,
	.create = mxfs_create,
	.atomic_open = mxfs_atomic_open,
	.link = mxfs_link,
	.unlink = mxfs_unlink,
	.symlink = mxfs_symlink,
	.mkdir = mxfs_mkdir,
	.rmdir = mxfs_rmdir,
	.mknod = mxfs_mknod,
	.rename = mxfs_rename,
	.tmpfile = mxfs_tmpfile,
	.permission = mxfs_permission,
	.getattr = mxfs_getattr,
	.setattr = mxfs_setattr,
	.listxattr = mxfs_listxattr,
	.get_inode_acl = mxfs_get_inode_acl,
	.set_acl = mxfs_set_acl,
	.fileattr_get = mxfs_fileattr_get,
	.fileattr_set = mxfs_fileattr_set,
};

const struct file_operations mxfs_dir_fops = {
	.owner = THIS_MODULE,
	.open = mxfs_open,
	.release = mxfs_release,
	.read = generic_read_dir,
	.iterate_shared = mxfs_iterate,
	.llseek = mxfs_llseek,
	.fsync = mxfs_fsync,
	.unlocked_ioctl = mxfs_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
