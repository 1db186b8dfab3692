// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: names.
 *
 * A dentry is stamped with the attach it was last compared in. While this node owns the volume,
 * every change of a name goes through here, so a stamp of the present attach needs no second look, and the
 * VFS does not ask for one: DCACHE_OP_REVALIDATE is set when the attach ends. After another node had the
 * volume, the name is looked up again below and the dentry is dropped when it means something else now.
 */
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "data/data.h"
#include "local/local.h"
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

/* Is a name what the VFS looked up? Another node may have replaced it since. */
static bool mxfs_is_found(const struct inode *inode, const struct mxfs_found *found)
{
	if (!inode || !found->lower)
		return !inode && !found->lower;
	return found->id.ino == MXFS_I(inode)->ino && found->id.gen == inode->i_generation;
}

/* Inside the operation gate. Return: 1 when it is, 0 when it is not, -errno. */
static int mxfs_name_is(struct mxfs_op *op, struct inode *dir, const struct qstr *name, struct inode *inode)
{
	struct mxfs_found found;
	int err = mxfs_call(op, lookup, dir, name, &found);

	if (err)
		return err == -ESTALE || err == -ENOENT ? 0 : err;
	if (!mxfs_is_found(inode, &found)) {
		mxfs_found_put(&found);
		return 0;
	}
	if (!inode)
		return 1;
	mxfs_found_bind(inode, &found);
	return op->ops->refresh(inode) ?: 1;
}

static noinline int mxfs_d_revalidate_slow(struct dentry *dentry)
{
	struct name_snapshot name;
	struct dentry *parent;
	struct mxfs_op op;
	int ret;

	if (IS_ROOT(dentry))
		return 1;
	ret = mxfs_begin(&op, MXFS_SB(dentry->d_sb));
	if (ret)
		return ret;
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	if (mxfs_is_own_name(d_inode(parent), &name.name))
		ret = 1;
	else
		ret = mxfs_name_is(&op, d_inode(parent), &name.name, d_inode(dentry));
	if (ret == 1)
		mxfs_stamp(dentry);
	release_dentry_name_snapshot(&name);
	dput(parent);
	mxfs_end(&op);
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
	struct inode *inode = NULL;
	struct mxfs_found found;
	struct dentry *ret;
	struct mxfs_op op;
	int err;

	if (dentry->d_name.len > NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	err = mxfs_begin(&op, MXFS_ISB(dir));
	if (err)
		return ERR_PTR(err);
	if (!mxfs_is_own_name(dir, &dentry->d_name)) {
		err = mxfs_call(&op, lookup, dir, &dentry->d_name, &found);
		if (err) {
			ret = ERR_PTR(err);
			goto out;
		}
		if (found.lower)
			inode = mxfs_iget(dir->i_sb, &found, false);
	}
	mxfs_stamp(dentry);
	ret = d_splice_alias(inode, dentry);
	if (!IS_ERR_OR_NULL(ret))
		mxfs_stamp(ret);
out:
	mxfs_end(&op);
	return ret;
}

/* Inside the operation gate. A dentry that is being looked up gets its inode, too. */
static int mxfs_make_inside(struct mxfs_op *op, struct inode *dir, struct dentry *dentry, const struct mxfs_new *new)
{
	struct mxfs_attrs dir_attr;
	struct mxfs_found found;
	struct inode *inode;
	int err;

	err = mxfs_call(op, make, dir, &dentry->d_name, new, &found, &dir_attr);
	if (err)
		return err;
	if (!found.lower) {
		d_drop(dentry);
		return 0;
	}
	inode = mxfs_iget(dir->i_sb, &found, !new->existing);
	if (IS_ERR(inode)) {
		d_drop(dentry);
		return PTR_ERR(inode);
	}
	mxfs_apply_links(dir, &dir_attr);
	mxfs_stamp(dentry);
	if (d_in_lookup(dentry))
		d_add(dentry, inode);
	else
		d_instantiate(dentry, inode);
	return 0;
}

/*
 * The name of the module's own folder cannot be had: EPERM, which is what mkdir(2), link(2) and their like say where a file
 * system does not support the creation of something; EACCES would be a matter of permissions, which root has, and
 * EEXIST would send programs to look for what nobody sees.
 */
static int __mxfs_hot mxfs_make(struct inode *dir, struct dentry *dentry, const struct mxfs_new *new)
{
	struct mxfs_op op;
	int err;

	if (mxfs_is_own_name(dir, &dentry->d_name))
		return -EPERM;
	err = mxfs_begin(&op, MXFS_ISB(dir));
	if (err)
		return err;
	err = mxfs_make_inside(&op, dir, dentry, new);
	mxfs_end(&op);
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

static int __mxfs_hot mxfs_remove(struct inode *dir, struct dentry *dentry, bool is_dir)
{
	struct inode *inode = d_inode(dentry);
	struct mxfs_attrs dir_attr, attr;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(dir));
	if (err)
		return err;
	err = mxfs_call(&op, remove, dir, dentry, is_dir, &dir_attr, &attr);
	if (dir_attr.xfs) {
		mxfs_apply_links(dir, &dir_attr);
		mxfs_apply_links(inode, &attr);
	}
	if (!err) {
		if (is_dir)
			clear_nlink(inode);
		/* The name is known to be free: a negative dentry of this attach. */
		mxfs_stamp(dentry);
	}
	mxfs_end(&op);
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

static int mxfs_rename(struct mnt_idmap *idmap, struct inode *old_dir, struct dentry *old_dentry,
		       struct inode *new_dir, struct dentry *new_dentry, unsigned int flags)
{
	struct mxfs_renamed renamed;
	struct mxfs_op op;
	int err;

	if (mxfs_is_own_name(new_dir, &new_dentry->d_name))
		return -EPERM; /* as mxfs_make() */
	err = mxfs_begin(&op, MXFS_ISB(old_dir));
	if (err)
		return err;
	err = op.ops->rename(old_dir, old_dentry, new_dir, new_dentry, flags, &renamed);
	if (!err) {
		/*
		 * VFS moves the upper dentries after this; both names are of this attach then. Whoever goes through
		 * the directories meanwhile (mxfs_distrust()) may see them in neither: they are asked about.
		 */
		mxfs_stamp(old_dentry);
		mxfs_stamp(new_dentry);
		mxfs_ask_about(old_dentry, true);
		mxfs_ask_about(new_dentry, true);
		mxfs_apply(old_dir, &renamed.old_dir);
		mxfs_apply(new_dir, &renamed.new_dir);
		if (renamed.inode.xfs)
			mxfs_apply(d_inode(old_dentry), &renamed.inode);
		if (renamed.other.xfs)
			mxfs_apply(d_inode(new_dentry), &renamed.other);
	}
	mxfs_end(&op);
	return err;
}

/* O_TMPFILE: as what is held and has no name it is kept through a change of owner. */
static int mxfs_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct mxfs_found found;
	struct inode *inode;
	struct mxfs_op op;
	int err;

	err = mxfs_begin(&op, MXFS_ISB(dir));
	if (err)
		return err;
	err = op.ops->tmpfile(dir, mode, file->f_flags, &found);
	if (err)
		goto out;
	inode = mxfs_iget(dir->i_sb, &found, true);
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		goto out;
	}
	set_nlink(inode, 1);
	d_tmpfile(file, inode);
	mxfs_stamp(file->f_path.dentry);
out:
	mxfs_end(&op);
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
	struct mxfs_open *open = mxfs_get_open(file);

	if (!open)
		return NULL;
	if (!open->names)
		open->names = kmalloc(MXFS_NAMES_BYTES, GFP_KERNEL);
	return open->names;
}

/* Reads names from @pos on into memory of ours. The root's all go that way: one of them is not shown. */
static int mxfs_read_names(struct file *file, loff_t pos, struct mxfs_names **names)
{
	struct mxfs_names *into = NULL;
	struct mxfs_op op;
	int err;

	*names = NULL;
	err = mxfs_begin(&op, MXFS_ISB(file_inode(file)));
	if (err)
		return err;
	into = mxfs_get_names(file);
	if (into) {
		memset(into, 0, sizeof(*into));
		into->ctx.actor = mxfs_names_actor;
		into->ctx.pos = pos;
		into->is_root = file_inode(file) == d_inode(file_inode(file)->i_sb->s_root);
		into->room = (into->is_root ? MXFS_NAMES_BYTES : MXFS_NAMES_FIRST) - sizeof(*into);
		err = op.ops->iterate(file, &into->ctx, false);
	} else {
		err = -ENOMEM;
	}
	mxfs_end(&op);
	/* What was read before an error is shown before it. */
	*names = into;
	return err;
}

/* Names straight to who asked, as far as that takes no page fault. An error is met again by mxfs_read_names(). */
static void mxfs_iterate_nofault(struct file *file, struct dir_context *ctx)
{
	struct mxfs_op op;

	if (mxfs_begin(&op, MXFS_ISB(file_inode(file))))
		return;
	op.ops->iterate(file, ctx, true);
	mxfs_end(&op);
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
	.compat_ioctl = mxfs_compat_ioctl,
};
