// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: what upper inodes and open files have below.
 *
 * A lower dentry is found by file handle when the first operation of an attach needs it, and a lower file is opened then; both
 * stay until the detach takes them away, or the upper one goes.
 */
#include <linux/backing-dev.h>
#include <linux/exportfs.h>
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "local/bind.h"

/**
 * mxfs_take_lower - take an inode's lower dentry away
 * @mi: the inode, with one
 *
 * Under bind.lock, with the gates closed or by the last user.
 *
 * Return: the dentry, with the reference.
 */
struct dentry *mxfs_take_lower(struct mxfs_inode *mi)
{
	struct dentry *lower = mi->lower;

	mi->lower = NULL;
	list_del_init(&mi->lower_entry);
	mxfs_distrust(&mi->vfs_inode);
	/*
	 * The VFS refuses by this flag before it asks us, and another node may have taken it away. What it lets pass without it is
	 * refused below, by the flag as it is then, and in mxfs_permission(). Not so S_APPEND: nobody asks again before a map is
	 * made, or O_APPEND taken off a descriptor.
	 */
	if (unlikely(IS_IMMUTABLE(&mi->vfs_inode)))
		inode_set_flags(&mi->vfs_inode, 0, S_IMMUTABLE);
	return lower;
}

/*
 * Remember the lower dentry until the next detach, and take the reference over. Inside a gate, or while the mount is being set
 * up.
 */
void mxfs_set_lower(struct inode *inode, struct dentry *lower)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);

	if (READ_ONCE(mi->lower)) {
		dput(lower);
		return;
	}
	spin_lock(&sbi->bind.lock);
	if (!mi->lower) {
		list_add_tail(&mi->lower_entry, &sbi->bind.inodes);
		/* As for an open file on XFS: of what happened before, only what nobody has heard of (mxfs_carry_error()). */
		mi->lower_wb_err = errseq_sample(&d_inode(lower)->i_mapping->wb_err);
		/* Pairs with smp_load_acquire() in mxfs_lower(). */
		smp_store_release(&mi->lower, lower);
		lower = NULL;
	}
	spin_unlock(&sbi->bind.lock);
	dput(lower);
}

/* Under bind.lock. */
void mxfs_carry_error_locked(struct inode *inode, struct inode *lower)
{
	filemap_set_wb_err(inode->i_mapping,
			   errseq_check_and_advance(&lower->i_mapping->wb_err, &MXFS_I(inode)->lower_wb_err));
}

/**
 * mxfs_carry_error - what XFS could not write of a file is for each descriptor above to tell, once
 * @inode: the file
 * @lower: its lower inode
 *
 * XFS remembers for each open file what it has told. Those below do not last, and are opened late: one may be younger than
 * an error which the descriptor above, that was open when it happened, has not told yet. So errors are carried to the
 * upper inode, and the kernel's way of telling then serves for the descriptors above. Nothing else becomes of them
 * there: a read does not fail.
 */
void mxfs_carry_error(struct inode *inode, struct inode *lower)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	if (likely(!errseq_check(&lower->i_mapping->wb_err, READ_ONCE(MXFS_I(inode)->lower_wb_err))))
		return;
	spin_lock(&sbi->bind.lock);
	mxfs_carry_error_locked(inode, lower);
	spin_unlock(&sbi->bind.lock);
}

/**
 * mxfs_remember - note how to find an inode again
 * @inode: upper
 * @lower: its lower dentry, inside a gate
 *
 * Called when the lower inode is about to go, and when somebody wants a file handle; most inodes
 * never need either.
 *
 * Return: 0, or -EOVERFLOW when XFS has no handle for it.
 */
int mxfs_remember(struct inode *inode, struct dentry *lower)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	int words = MXFS_FH_WORDS, type;
	u32 fh[MXFS_FH_WORDS] = {};

	if (mi->fh_words)
		return 0;
	type = exportfs_encode_inode_fh(d_inode(lower), (struct fid *)fh, &words, NULL, 0);
	if (type < 0 || type == FILEID_INVALID)
		return -EOVERFLOW;
	/* Who races with us writes the same. */
	memcpy(mi->fh, fh, sizeof(fh));
	mi->fh_type = type;
	WRITE_ONCE(mi->fh_words, words);
	return 0;
}

/* The slow path of mxfs_lower(). */
struct dentry *mxfs_find_lower(struct inode *inode)
{
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct mxfs_inode *mi = MXFS_I(inode);
	struct dentry *lower;

	if (inode == d_inode(inode->i_sb->s_root)) {
		lower = dget(sbi->lower->mnt_root);
	} else {
		/*
		 * Without an acceptable() function the answer may be disconnected from the tree:
		 * that is all that operations on the inode or below it need, and ten times cheaper
		 * for a directory. Rename is the one that needs more (mxfs_connected_lower()).
		 */
		lower = exportfs_decode_fh_raw(sbi->lower, (struct fid *)mi->fh, mi->fh_words,
					       mi->fh_type, 0, NULL, NULL);
		if (!lower)
			return ERR_PTR(-ESTALE);
		if (IS_ERR(lower))
			return lower;
	}
	if (d_inode(lower)->i_ino != mi->ino ||
	    d_inode(lower)->i_generation != inode->i_generation ||
	    ((d_inode(lower)->i_mode ^ inode->i_mode) & S_IFMT)) {
		dput(lower);
		return ERR_PTR(-ESTALE);
	}
	mxfs_set_lower(inode, lower);
	mxfs_copy_attr(inode, d_inode(mi->lower));
	return mi->lower;
}

/**
 * mxfs_copy_lower_attr - the slow path of mxfs_refresh_attr()
 * @inode: upper, inside a gate
 *
 * Return: 0, or why there is no lower inode.
 */
int mxfs_copy_lower_attr(struct inode *inode)
{
	struct dentry *lower = mxfs_lower(inode);

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	mxfs_copy_attr(inode, d_inode(lower));
	return 0;
}

/**
 * mxfs_open_lower - the lower file of an open file, opened now if it is not
 * @open: whose
 * @mnt: by which mount of XFS
 * @flags: open flags
 *
 * Inside a gate. Whoever uses it was let in above, by name; below there are no names that mean something to
 * security modules, and the file is opened when it happens to be needed. So it is the module that opens it: a program
 * that AppArmor confines would be refused a file on a mount that no path leads to.
 *
 * Return: a borrowed file, good until the gate is left; or an ERR_PTR.
 */
struct file *mxfs_open_lower(struct mxfs_open *open, struct vfsmount *mnt, int flags)
{
	struct mxfs_sb *sbi = open->sbi;
	struct file *file, *other;
	const struct cred *old;
	struct path path;

	/* Pairs with the release below: a file that is seen is seen whole. */
	file = smp_load_acquire(&open->lower);
	if (likely(file))
		return file;
	path.mnt = mnt;
	path.dentry = mxfs_lower(open->inode);
	if (IS_ERR(path.dentry))
		return ERR_CAST(path.dentry);
	/* Security modules look at the task, too, and at both later. */
	old = override_creds(sbi->cred);
	file = dentry_open(&path, flags | O_LARGEFILE, sbi->cred);
	revert_creds(old);
	if (IS_ERR(file))
		return file;
	spin_lock(&sbi->bind.lock);
	other = open->lower;
	if (!other) {
		open->fresh_until = jiffies;
		list_add_tail(&open->lower_entry, &sbi->bind.files);
		/* Pairs with smp_load_acquire() here and in mxfs_lower_file(). */
		smp_store_release(&open->lower, file);
	}
	spin_unlock(&sbi->bind.lock);
	if (other) {
		__fput_sync(file);
		file = other;
	}
	return file;
}

/* The slow path of mxfs_close_lower(); detaching may be faster. */
void mxfs_put_lower(struct mxfs_open *open)
{
	struct mxfs_sb *sbi = open->sbi;
	struct file *lower;

	spin_lock(&sbi->bind.lock);
	lower = open->lower;
	open->lower = NULL;
	list_del_init(&open->lower_entry);
	if (lower)
		mxfs_drain_get(sbi);
	spin_unlock(&sbi->bind.lock);
	if (lower) {
		__fput_sync(lower);
		mxfs_drain_put(sbi);
	}
}

bool mxfs_is_noatime(const struct file *file)
{
	int flags = file->f_path.mnt->mnt_flags;

	return (file->f_flags & O_NOATIME) || (flags & MNT_NOATIME) ||
	       ((flags & MNT_NODIRATIME) && S_ISDIR(file_inode(file)->i_mode));
}

/* A page of a map was faulted in: as if it had been read. Inside the fault gate, the lower inode known. */
void mxfs_touch_mapped(const struct file *file)
{
	struct path path = { .mnt = MXFS_ISB(file_inode(file))->lower, .dentry = mxfs_lower(file_inode(file)) };

	if (!IS_ERR(path.dentry) && !mxfs_is_noatime(file))
		touch_atime(&path);
}

/*
 * To a lower file that was just opened: what a program has announced of its way to read (mxfs_fadvise()), and that it writes no further
 * than its numbers reach. What is open already is opened again whatever has become of its size.
 */
static void mxfs_advise_again(const struct file *file, struct file *lower)
{
	fmode_t mode = READ_ONCE(file->f_mode) & (FMODE_RANDOM | FMODE_NOREUSE);

	if (unlikely(!(file->f_flags & O_LARGEFILE))) {
		spin_lock(&lower->f_lock);
		lower->f_flags &= ~O_LARGEFILE;
		spin_unlock(&lower->f_lock);
	}
	if (mode) {
		spin_lock(&lower->f_lock);
		lower->f_mode |= mode;
		spin_unlock(&lower->f_lock);
	}
	if (file->f_ra.ra_pages > inode_to_bdi(file_inode(file))->ra_pages)
		lower->f_ra.ra_pages = 2 * inode_to_bdi(file_inode(lower))->ra_pages;
}

struct file *mxfs_find_lower_file(struct file *file)
{
	struct mxfs_open *open = mxfs_get_open(file);
	struct file *lower;
	int flags;

	if (!open)
		return ERR_PTR(-ENOMEM);
	/* Whether it appends may change, and is said by each request. */
	flags = file->f_flags &
		~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_TMPFILE | O_DIRECT | O_APPEND | FASYNC);
	if (S_ISDIR(file_inode(file)->i_mode))
		flags |= O_DIRECTORY;
	/* The lower mount has relatime; the upper mount may say noatime. Of files mxfs_accessed() takes care. */
	if (S_ISREG(file_inode(file)->i_mode) || mxfs_is_noatime(file))
		flags |= O_NOATIME;
	lower = mxfs_open_lower(open, open->sbi->lower, flags);
	if (!IS_ERR(lower) && S_ISREG(file_inode(file)->i_mode))
		mxfs_advise_again(file, lower);
	return lower;
}
