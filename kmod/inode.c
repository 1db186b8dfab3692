// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: inodes and open files in memory, and which file each of them is.
 *
 * An mxfs inode is (XFS inode number, generation), on every node and in every attach.
 */
#include <linux/slab.h>
#include "inode.h"

static struct kmem_cache *mxfs_inode_cachep, *mxfs_open_cachep;

static void mxfs_inode_init_once(void *obj)
{
	struct mxfs_inode *mi = obj;

	inode_init_once(&mi->vfs_inode);
}

int mxfs_inode_cache_create(void)
{
	mxfs_inode_cachep = kmem_cache_create("mxfs_inode", sizeof(struct mxfs_inode), 0,
					      SLAB_HWCACHE_ALIGN | SLAB_RECLAIM_ACCOUNT |
						      SLAB_ACCOUNT,
					      mxfs_inode_init_once);
	if (!mxfs_inode_cachep)
		return -ENOMEM;
	/* Not shared with a later cache of the same size, which would keep it, and its name, after us. */
	mxfs_open_cachep = KMEM_CACHE(mxfs_open, SLAB_NO_MERGE | SLAB_HWCACHE_ALIGN);
	if (!mxfs_open_cachep) {
		kmem_cache_destroy(mxfs_inode_cachep);
		return -ENOMEM;
	}
	return 0;
}

void mxfs_inode_cache_destroy(void)
{
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(mxfs_open_cachep);
	kmem_cache_destroy(mxfs_inode_cachep);
}

struct inode *mxfs_alloc_inode(struct super_block *sb)
{
	struct mxfs_inode *mi = alloc_inode_sb(sb, mxfs_inode_cachep, GFP_KERNEL);

	if (!mi)
		return NULL;
	mi->lower = NULL;
	INIT_LIST_HEAD(&mi->lower_entry);
	INIT_LIST_HEAD(&mi->cached_entry);
	INIT_LIST_HEAD(&mi->wb.lower_entry);
	mi->wb.lower = NULL;
	mi->wb.sbi = MXFS_SB(sb);
	mi->wb.inode = &mi->vfs_inode;
	mi->ino = 0;
	mi->fh_words = 0;
	mi->fh_type = 0;
	mi->attr_seq = 0;
	mi->orphan = NULL;
	mi->kept = false;
	mi->shared_seq = 0;
	mi->lent = false;
	mi->let_go = false;
	mi->changing = NULL;
	atomic_set(&mi->left_out, 0);
	atomic_set(&mi->left_done, 0);
	INIT_LIST_HEAD(&mi->told_entry);
	return &mi->vfs_inode;
}

void mxfs_free_inode(struct inode *inode)
{
	kmem_cache_free(mxfs_inode_cachep, MXFS_I(inode));
}

static int __mxfs_hot mxfs_iget_test(struct inode *inode, void *data)
{
	struct mxfs_file_id *key = data;

	return MXFS_I(inode)->ino == key->ino && inode->i_generation == key->gen;
}

/* Of an inode that was removed and waits for removed.work nothing is left: NULL, and the reference is gone. */
static struct inode *mxfs_unless_let_go(struct inode *inode)
{
	if (likely(!READ_ONCE(MXFS_I(inode)->let_go)))
		return inode;
	iput(inode);
	return NULL;
}

static int __mxfs_hot mxfs_iget_set(struct inode *inode, void *data)
{
	struct mxfs_file_id *key = data;

	MXFS_I(inode)->ino = key->ino;
	inode->i_ino = key->ino;
	inode->i_generation = key->gen;
	return 0;
}

/* What iget5_locked() does, with one search less: nobody has seen this inode number before. */
static struct inode *mxfs_iget_created(struct super_block *sb, struct mxfs_file_id *key)
{
	struct inode *inode = new_inode(sb), *found;

	if (!inode)
		return NULL;
	found = inode_insert5(inode, key->ino, mxfs_iget_test, mxfs_iget_set, key);
	if (unlikely(found != inode))
		iput(inode);
	return found;
}

/**
 * mxfs_inode_get - the inode of a file, known before or not
 * @sb: the upper superblock
 * @id: the file
 * @created: it was made a moment ago
 *
 * Return: as iget5_locked(), a new one locked; or an ERR_PTR, -ESTALE for one that is on its way out.
 */
struct inode *mxfs_inode_get(struct super_block *sb, struct mxfs_file_id *id, bool created)
{
	struct inode *inode;

	if (created)
		inode = mxfs_iget_created(sb, id);
	else
		inode = iget5_locked(sb, id->ino, mxfs_iget_test, mxfs_iget_set, id);
	if (!inode)
		return ERR_PTR(-ENOMEM);
	return mxfs_unless_let_go(inode) ?: ERR_PTR(-ESTALE);
}

/* The inode of a file that is known here already, with a reference; or NULL. */
struct inode *mxfs_known(struct super_block *sb, struct mxfs_file_id *id)
{
	struct inode *inode = ilookup5(sb, id->ino, mxfs_iget_test, id);

	return inode ? mxfs_unless_let_go(inode) : NULL;
}

/* What an open file has besides, made when it is needed; NULL for want of memory. */
struct mxfs_open *mxfs_get_open(struct file *file)
{
	struct mxfs_open *open = READ_ONCE(file->private_data), *other;

	if (open)
		return open;
	open = kmem_cache_zalloc(mxfs_open_cachep, GFP_KERNEL);
	if (!open)
		return NULL;
	INIT_LIST_HEAD(&open->lower_entry);
	open->inode = file_inode(file);
	open->sbi = MXFS_ISB(open->inode);
	/* Two threads may come here with one open file. */
	other = cmpxchg(&file->private_data, NULL, open);
	if (!other)
		return open;
	kmem_cache_free(mxfs_open_cachep, open);
	return other;
}

/* The lower file is closed. */
void mxfs_open_free(struct mxfs_open *open)
{
	kfree(open->names);
	kmem_cache_free(mxfs_open_cachep, open);
}
