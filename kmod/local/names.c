// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: names, where XFS is mounted here.
 */
#include <linux/exportfs.h>
#include <linux/file.h>
#include <linux/namei.h>
#include <linux/security.h>
#include <linux/uaccess.h>
#include "local/bind.h"
#include "local/local.h"
#include "local/orphan.h"

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

int mxfs_local_lookup(struct inode *dir, const struct qstr *name, struct mxfs_found *found)
{
	struct dentry *lower_dir = mxfs_lower(dir), *lower;

	found->lower = NULL;
	if (IS_ERR(lower_dir))
		return PTR_ERR(lower_dir);
	lower = mxfs_lookup_name(lower_dir, name);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (d_really_is_positive(lower))
		mxfs_found_is(found, lower);
	else
		dput(lower);
	return 0;
}

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

int mxfs_local_make(struct inode *dir, const struct qstr *name, const struct mxfs_new *new, struct mxfs_found *found,
		    struct mxfs_attrs *dir_attr)
{
	struct dentry *lower_dir = mxfs_lower(dir), *lower;
	int err;

	found->lower = NULL;
	if (IS_ERR(lower_dir))
		return PTR_ERR(lower_dir);
	dir_attr->xfs = d_inode(lower_dir);
	/* Another node may have made the name between the look-up above and now: -EEXIST. */
	lower = mxfs_begin_name(lower_dir, name);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	err = mxfs_make_lower(lower_dir, &lower, new);
	/* mkdir may instantiate another dentry (fs/namei.c: vfs_mkdir()); XFS does not. */
	if (!err && d_really_is_positive(lower))
		mxfs_found_is(found, dget(lower));
	mxfs_end_change(lower_dir, lower);
	if (!err && new->existing && unlikely(MXFS_I(new->existing)->kept))
		mxfs_orphan_named(new->existing);
	return err;
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

int mxfs_local_remove(struct inode *dir, struct dentry *dentry, bool is_dir, struct mxfs_attrs *dir_attr,
		      struct mxfs_attrs *attr)
{
	struct inode *inode = d_inode(dentry);
	struct dentry *lower_dir, *known;
	int err;

	dir_attr->xfs = NULL;
	lower_dir = mxfs_lower(dir);
	/* In memory below before its name goes: it may be held here, and is kept then (local/orphan.c). */
	known = mxfs_lower(inode);
	if (IS_ERR(lower_dir) || IS_ERR(known))
		return PTR_ERR(IS_ERR(lower_dir) ? lower_dir : known);
	if (!is_dir) {
		err = mxfs_may_unlink(d_inode(lower_dir), d_inode(known)) ?: mxfs_orphan_prepare(inode, known);
		if (err)
			return err;
	}
	dir_attr->xfs = d_inode(lower_dir);
	attr->xfs = d_inode(known);
	if (is_dir || !mxfs_remove_known(lower_dir, dentry, known, &err))
		err = mxfs_remove_name(lower_dir, dentry);
	return err;
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

int mxfs_local_rename(struct inode *old_dir, struct dentry *old_dentry, struct inode *new_dir, struct dentry *new_dentry,
		      unsigned int flags, struct mxfs_renamed *renamed)
{
	struct inode *victim = flags & RENAME_EXCHANGE ? NULL : d_inode(new_dentry);
	struct dentry *lower_old_dir, *lower_new_dir, *lower;
	struct mxfs_renaming r = { .flags = flags };
	int err;

	if (victim && S_ISDIR(victim->i_mode))
		victim = NULL;
	if (old_dir == new_dir) {
		lower_old_dir = mxfs_lower(old_dir);
		lower_new_dir = lower_old_dir;
	} else {
		lower_old_dir = mxfs_connected_lower(old_dir);
		lower_new_dir = mxfs_connected_lower(new_dir);
	}
	if (IS_ERR(lower_old_dir) || IS_ERR(lower_new_dir))
		return PTR_ERR(IS_ERR(lower_old_dir) ? lower_old_dir : lower_new_dir);
	if (victim) {
		lower = mxfs_lower(victim);
		err = IS_ERR(lower) ? PTR_ERR(lower) : mxfs_orphan_prepare(victim, lower);
		if (err)
			return err;
	}

	r.old_dir = lower_old_dir;
	r.new_dir = lower_new_dir;
	err = mxfs_begin_rename(&r, &old_dentry->d_name, &new_dentry->d_name);
	if (!err && unlikely(mxfs_drop_removed(r.new))) {
		mxfs_end_rename(&r);
		err = mxfs_begin_rename(&r, &old_dentry->d_name, &new_dentry->d_name);
	}
	if (err)
		return err;
	if (mxfs_is_same(old_dentry, r.old) && mxfs_is_same(new_dentry, r.new))
		err = mxfs_vfs_rename(&r);
	else
		err = -ESTALE;
	mxfs_end_rename(&r);
	if (!err)
		*renamed = (struct mxfs_renamed){
			.old_dir.xfs = d_inode(lower_old_dir),
			.new_dir.xfs = d_inode(lower_new_dir),
			.inode = mxfs_attr_below(d_inode(old_dentry)),
			.other = mxfs_attr_below(d_inode(new_dentry)),
		};
	return err;
}

/* Made in the right directory, so that group, default ACL and quota are right. */
int mxfs_local_tmpfile(struct inode *dir, umode_t mode, unsigned int flags, struct mxfs_found *found)
{
	struct path path = { .mnt = MXFS_ISB(dir)->lower, .dentry = mxfs_lower(dir) };
	struct file *file;

	if (IS_ERR(path.dentry))
		return PTR_ERR(path.dentry);
	/*
	 * O_EXCL ("never to be linked") is kept above; below it must be linkable. Opened as all lower files are (mxfs_open_lower()): a program
	 * that AppArmor confines would be refused a file that no path leads to. Whose the file is, XFS takes from the task.
	 */
	file = kernel_tmpfile_open(&nop_mnt_idmap, &path, mode,
				   (flags & ~(O_EXCL | O_CREAT | O_TRUNC)) | O_LARGEFILE, MXFS_ISB(dir)->cred);
	if (IS_ERR(file))
		return PTR_ERR(file);
	mxfs_found_is(found, dget(file->f_path.dentry));
	__fput_sync(file);
	return 0;
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

int mxfs_local_iterate(struct file *file, struct dir_context *ctx, bool nofault)
{
	struct file *lower = mxfs_lower_file(file);
	int err;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (nofault) {
		pagefault_disable();
		err = mxfs_iterate_lower(lower, ctx);
		pagefault_enable();
	} else {
		err = mxfs_iterate_lower(lower, ctx);
		file_accessed(lower);
	}
	return err;
}
