/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the only place that knows that kernels differ.
 *
 * What differs is found out by compiling: Kbuild runs each file of probes/ through the kernel's own
 * compiler flags and defines MXFS_HAVE_<NAME> for those that compile. Versions are never compared, because
 * stable series and distributions move interfaces within one version.
 *
 * Changing names below is a begin/end pair each: the directory is locked and the name looked up in
 * between. Newer kernels have that themselves (start_creating() and its like in fs/namei.c), older ones are
 * made to look the same.
 */
#ifndef _MXFS_COMPAT_H
#define _MXFS_COMPAT_H

#include <linux/blkdev.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fileattr.h>
#include <linux/fs_context.h>
#include <linux/fs_struct.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/uio.h>

/* Gone with the deferred completions it asked for. */
#ifndef IOCB_DIO_CALLER_COMP
#define IOCB_DIO_CALLER_COMP 0
#endif

/* Newer kernels have it, and the list elsewhere in the dentry. */
#ifndef for_each_alias
#define for_each_alias(dentry, inode) hlist_for_each_entry(dentry, &(inode)->i_dentry, d_u.d_alias)
#endif

#ifdef MXFS_HAVE_FILE_KATTR
#define mxfs_fileattr file_kattr
#else
#define mxfs_fileattr fileattr
#endif

/* The last argument of the name-changing calls below: nobody's delegation is waited for. */
#ifdef MXFS_HAVE_DELEGATED_INODE
#define MXFS_UNDELEGATED(call, ...) call(__VA_ARGS__, NULL)
#else
#define MXFS_UNDELEGATED(call, ...) call(__VA_ARGS__)
#endif

/*
 * Would XFS take this memory for O_DIRECT? Newer kernels look at the length of the whole instead of each piece's, and what is
 * pinned is taken as the user's would be.
 */
static inline bool mxfs_iter_fits(struct block_device *bdev, const struct iov_iter *iter)
{
#ifdef MXFS_HAVE_ITER_IS_ALIGNED
	return iov_iter_is_aligned(iter, bdev_dma_alignment(bdev), bdev_logical_block_size(bdev) - 1);
#else
	return true;
#endif
}

static inline bool mxfs_is_new_inode(struct inode *inode)
{
#ifdef MXFS_HAVE_INODE_STATE_READ
	return inode_state_read_once(inode) & I_NEW;
#else
	return READ_ONCE(inode->i_state) & I_NEW;
#endif
}

/* What inc_nlink() wants to see where there is no link (fs/namei.c: vfs_tmpfile()). */
static inline void mxfs_set_linkable(struct inode *inode, bool linkable)
{
	spin_lock(&inode->i_lock);
#ifdef MXFS_HAVE_INODE_STATE_READ
	if (linkable)
		inode_state_set(inode, I_LINKABLE);
	else
		inode_state_clear(inode, I_LINKABLE);
#else
	if (linkable)
		inode->i_state |= I_LINKABLE;
	else
		inode->i_state &= ~I_LINKABLE;
#endif
	spin_unlock(&inode->i_lock);
}

/* XFS writes home what its log has, and stands still. As the kernel: whoever freezes it as a user does not thaw it, and is not thawed. */
static inline int mxfs_freeze_lower(struct super_block *sb)
{
#ifdef MXFS_HAVE_FREEZE_OWNER
	return freeze_super(sb, FREEZE_HOLDER_KERNEL, NULL);
#else
	return freeze_super(sb, FREEZE_HOLDER_KERNEL);
#endif
}

static inline int mxfs_thaw_lower(struct super_block *sb)
{
#ifdef MXFS_HAVE_FREEZE_OWNER
	return thaw_super(sb, FREEZE_HOLDER_KERNEL, NULL);
#else
	return thaw_super(sb, FREEZE_HOLDER_KERNEL);
#endif
}

static inline int mxfs_parse_string(struct fs_context *fc, const char *key, const char *value)
{
#ifdef MXFS_HAVE_PARSE_FS_STRING_3
	return vfs_parse_fs_string(fc, key, value);
#else
	return vfs_parse_fs_string(fc, key, value, value ? strlen(value) : 0);
#endif
}

static inline struct vfsmount *mxfs_kernel_mount(struct fs_context *fc)
{
#ifdef MXFS_HAVE_FC_MOUNT_LONGTERM
	return fc_mount_longterm(fc);
#else
	return fc_mount(fc);
#endif
}

static inline void mxfs_kernel_unmount(struct vfsmount *mnt)
{
#ifdef MXFS_HAVE_FC_MOUNT_LONGTERM
	kern_unmount(mnt);
#else
	mntput(mnt);
#endif
}

/* What set_fs_pwd(), which is not exported, does; for a task whose fs_struct is its own. */
static inline void mxfs_set_pwd(const struct path *path)
{
	struct fs_struct *fs = current->fs;
	struct path old;

	path_get(path);
#ifdef MXFS_HAVE_FS_STRUCT_SEQLOCK
	write_seqlock(&fs->seq);
#else
	spin_lock(&fs->lock);
	write_seqcount_begin(&fs->seq);
#endif
	old = fs->pwd;
	fs->pwd = *path;
#ifdef MXFS_HAVE_FS_STRUCT_SEQLOCK
	write_sequnlock(&fs->seq);
#else
	write_seqcount_end(&fs->seq);
	spin_unlock(&fs->lock);
#endif
	if (old.dentry)
		path_put(&old);
}

/* Has a lower file say how its pages are mapped: fills in vm_ops of a vma that is in no address space. */
static inline int mxfs_map_lower(struct file *lower, struct vm_area_struct *vma)
{
#ifdef MXFS_HAVE_MMAP_PREPARE
	struct vm_area_desc desc = { .file = lower };
	int err;

	if (lower->f_op->mmap_prepare) {
		err = lower->f_op->mmap_prepare(&desc);
		vma->vm_ops = desc.vm_ops;
		return err;
	}
#endif
	return lower->f_op->mmap(lower, vma);
}

static inline struct kthread_worker *mxfs_run_worker(unsigned int id)
{
#ifdef MXFS_HAVE_KTHREAD_RUN_WORKER
	return kthread_run_worker(0, "mxfs/%u", id);
#else
	return kthread_create_worker(0, "mxfs/%u", id);
#endif
}

static inline void mxfs_set_dentry_ops(struct super_block *sb, const struct dentry_operations *ops)
{
#ifdef MXFS_HAVE_SET_DEFAULT_D_OP
	set_default_d_op(sb, ops);
#else
	sb->s_d_op = ops;
#endif
}

/* The dentry of a name in a lower directory that is not locked; negative when there is none. */
static inline struct dentry *mxfs_lookup_lower(struct dentry *dir, const char *name, int len)
{
#ifdef MXFS_HAVE_LOOKUP_QSTR
	return lookup_one_unlocked(&nop_mnt_idmap, &QSTR_LEN(name, len), dir);
#else
	return lookup_one_len_unlocked(name, dir, len);
#endif
}

#ifndef MXFS_HAVE_START_CREATING
static inline struct dentry *mxfs_begin_locked(struct dentry *dir, const char *name, int len,
					       bool exists)
{
	struct dentry *child;

	inode_lock_nested(d_inode(dir), I_MUTEX_PARENT);
	child = lookup_one_len(name, dir, len);
	if (!IS_ERR(child) && d_really_is_positive(child) != exists) {
		dput(child);
		child = ERR_PTR(exists ? -ENOENT : -EEXIST);
	}
	if (IS_ERR(child))
		inode_unlock(d_inode(dir));
	return child;
}
#endif

/* A negative dentry in the locked directory; -EEXIST. */
static inline struct dentry *mxfs_begin_create(struct dentry *dir, const char *name, int len)
{
#ifdef MXFS_HAVE_START_CREATING
	return start_creating(&nop_mnt_idmap, dir, &QSTR_LEN(name, len));
#else
	return mxfs_begin_locked(dir, name, len, false);
#endif
}

/* A positive dentry in the locked directory; -ENOENT. */
static inline struct dentry *mxfs_begin_remove(struct dentry *dir, const char *name, int len)
{
#ifdef MXFS_HAVE_START_CREATING
	return start_removing(&nop_mnt_idmap, dir, &QSTR_LEN(name, len));
#else
	return mxfs_begin_locked(dir, name, len, true);
#endif
}

/* Unlocks the directory and lets go of the child. */
static inline void mxfs_end_change(struct dentry *dir, struct dentry *child)
{
#ifdef MXFS_HAVE_START_CREATING
	end_creating(child);
#else
	dput(child);
	inode_unlock(d_inode(dir));
#endif
}

static inline int mxfs_vfs_create(struct dentry *dir, struct dentry *child, umode_t mode)
{
#ifdef MXFS_HAVE_VFS_CREATE_SHORT
	return vfs_create(&nop_mnt_idmap, child, mode, NULL);
#else
	return vfs_create(&nop_mnt_idmap, d_inode(dir), child, mode, true);
#endif
}

/* A lower file system's own ->create. */
static inline int mxfs_call_create(struct inode *dir, struct dentry *child, umode_t mode)
{
#ifdef MXFS_HAVE_CREATE_NO_EXCL
	return dir->i_op->create(&nop_mnt_idmap, dir, child, mode);
#else
	return dir->i_op->create(&nop_mnt_idmap, dir, child, mode, true);
#endif
}

/* The child may be replaced by another dentry of the new directory, or by an error. */
static inline int mxfs_vfs_mkdir(struct dentry *dir, struct dentry **child, umode_t mode)
{
#ifdef MXFS_HAVE_MKDIR_DENTRY
	*child = MXFS_UNDELEGATED(vfs_mkdir, &nop_mnt_idmap, d_inode(dir), *child, mode);
	return PTR_ERR_OR_ZERO(*child);
#else
	return vfs_mkdir(&nop_mnt_idmap, d_inode(dir), *child, mode);
#endif
}

static inline int mxfs_vfs_symlink(struct dentry *dir, struct dentry *child, const char *target)
{
	return MXFS_UNDELEGATED(vfs_symlink, &nop_mnt_idmap, d_inode(dir), child, target);
}

static inline int mxfs_vfs_mknod(struct dentry *dir, struct dentry *child, umode_t mode, dev_t rdev)
{
	return MXFS_UNDELEGATED(vfs_mknod, &nop_mnt_idmap, d_inode(dir), child, mode, rdev);
}

static inline int mxfs_vfs_rmdir(struct dentry *dir, struct dentry *child)
{
	return MXFS_UNDELEGATED(vfs_rmdir, &nop_mnt_idmap, d_inode(dir), child);
}

/* begin fills in @old and @new; end lets go of them. */
struct mxfs_renaming {
	struct dentry *old_dir, *new_dir;
	struct dentry *old, *new;
	unsigned int flags;
#ifdef MXFS_HAVE_START_CREATING
	struct renamedata rd;
#endif
};

#ifdef MXFS_HAVE_START_CREATING
static inline int mxfs_begin_rename(struct mxfs_renaming *r, const struct qstr *old,
				    const struct qstr *new)
{
	int err;

	r->rd = (struct renamedata){
		.mnt_idmap = &nop_mnt_idmap,
		.old_parent = r->old_dir,
		.new_parent = r->new_dir,
		.flags = r->flags,
	};
	err = start_renaming(&r->rd, 0, &QSTR_LEN(old->name, old->len),
			     &QSTR_LEN(new->name, new->len));
	r->old = r->rd.old_dentry;
	r->new = r->rd.new_dentry;
	return err;
}

static inline int mxfs_vfs_rename(struct mxfs_renaming *r)
{
	return vfs_rename(&r->rd);
}

static inline void mxfs_end_rename(struct mxfs_renaming *r)
{
	end_renaming(&r->rd);
}
#else
static inline int mxfs_begin_rename(struct mxfs_renaming *r, const struct qstr *old,
				    const struct qstr *new)
{
	struct dentry *trap;
	int err;

	trap = lock_rename(r->new_dir, r->old_dir);
	if (IS_ERR(trap))
		return PTR_ERR(trap);
	r->old = lookup_one_len(old->name, r->old_dir, old->len);
	if (IS_ERR(r->old)) {
		err = PTR_ERR(r->old);
		goto out_unlock;
	}
	r->new = lookup_one_len(new->name, r->new_dir, new->len);
	if (IS_ERR(r->new)) {
		err = PTR_ERR(r->new);
		goto out_old;
	}
	/* As do_renameat2(): neither may be an ancestor of the other. */
	err = -EINVAL;
	if (r->old == trap)
		goto out_new;
	err = r->flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (r->new == trap)
		goto out_new;
	return 0;

out_new:
	dput(r->new);
out_old:
	dput(r->old);
out_unlock:
	unlock_rename(r->new_dir, r->old_dir);
	return err;
}

static inline int mxfs_vfs_rename(struct mxfs_renaming *r)
{
	struct renamedata rd = {
		.old_mnt_idmap = &nop_mnt_idmap,
		.old_dir = d_inode(r->old_dir),
		.old_dentry = r->old,
		.new_mnt_idmap = &nop_mnt_idmap,
		.new_dir = d_inode(r->new_dir),
		.new_dentry = r->new,
		.flags = r->flags,
	};

	return vfs_rename(&rd);
}

static inline void mxfs_end_rename(struct mxfs_renaming *r)
{
	dput(r->new);
	dput(r->old);
	unlock_rename(r->new_dir, r->old_dir);
}
#endif

#endif /* _MXFS_COMPAT_H */
