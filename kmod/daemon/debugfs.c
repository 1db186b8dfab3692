// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: /sys/kernel/debug/mxfs/<device>/, for people and for the lab.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "daemon/daemon.h"
#include "local/orphan.h"
#include "pages/cache.h"

static struct dentry *mxfs_debugfs_root;

static const char *mxfs_state_name(enum mxfs_state state)
{
	switch (state) {
	case MXFS_STATE_STARTING:
		return "starting";
	case MXFS_STATE_DETACHED:
		return "detached";
	case MXFS_STATE_ATTACHING:
		return "attaching";
	case MXFS_STATE_ATTACHED:
		return "attached";
	case MXFS_STATE_DETACHING:
		return "detaching";
	case MXFS_STATE_DEAD:
		return "dead";
	}
	return "?";
}

static int mxfs_status_show(struct seq_file *m, void *v)
{
	struct mxfs_sb *sbi = m->private;
	long lease = (long)(READ_ONCE(sbi->lease_end) - jiffies);
	u64 read = 0, written = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		read += per_cpu_ptr(sbi->cpu, cpu)->bytes_read;
		written += per_cpu_ptr(sbi->cpu, cpu)->bytes_written;
	}
	seq_printf(m,
		   "device %s\nmount %u\nuuid %pU\nstate %s\nfrozen %d\nepoch %llu\nkey %016llx\n",
		   sbi->source, sbi->id, sbi->geo.uuid, mxfs_state_name(READ_ONCE(sbi->state)),
		   READ_ONCE(sbi->frozen), sbi->epoch, sbi->key);
	seq_printf(m, "clustered %d\nlease_ms %d\nwaiters %d\nmapped %d\ndaemon_port %u\n",
		   sbi->clustered, lease > 0 ? jiffies_to_msecs(lease) : 0,
		   atomic_read(&sbi->waiters), mxfs_any_mapped(sbi), sbi->daemon.portid);
	seq_printf(m, "attaches %llu\ndetaches %llu\nlast_attach_us %llu\nlast_detach_us %llu\n",
		   sbi->stats.attaches, sbi->stats.detaches, sbi->stats.last_attach_nanos / 1000,
		   sbi->stats.last_detach_nanos / 1000);
	seq_printf(m, "waits %llu\nwait_us %llu\nrefused %llu\ndaemon_starts %llu\n",
		   sbi->stats.waits, sbi->stats.wait_nanos / 1000, sbi->stats.refused,
		   sbi->stats.daemon_starts);
	seq_printf(
		m,
		"through_bytes_read %llu\nthrough_bytes_written %llu\nmapped_bytes_read %llu\nmapped_bytes_written %llu\n",
		read, written, sbi->stats.mapped_bytes_read, sbi->stats.mapped_bytes_written);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mxfs_status);

/* Microseconds from the first waiting operation to the attach that let it run, oldest first. */
static int mxfs_changes_show(struct seq_file *m, void *v)
{
	struct mxfs_sb *sbi = m->private;
	u32 end = READ_ONCE(sbi->nr_changes), n = end > MXFS_CHANGES ? end - MXFS_CHANGES : 0;

	for (; n != end; n++)
		seq_printf(m, "%u\n", READ_ONCE(sbi->changes[n % MXFS_CHANGES]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mxfs_changes);

/* What the daemon is told of .mxfs/lockstate. */
static int mxfs_lockstate_show(struct seq_file *m, void *v)
{
	struct mxfs_sb *sbi = m->private;
	struct mxfs_lockstate *state = &sbi->lockstate;
	struct mxfs_lockstate_map map;
	u64 generation;
	bool published;
	u32 i;

	spin_lock(&state->lock);
	map = state->map;
	generation = state->generation;
	published = state->published;
	spin_unlock(&state->lock);
	seq_printf(m, "generation %llu\nerrno %d\npublished %d\ndamaged %u\n", generation, -map.err, published, map.damaged);
	if (map.err)
		seq_printf(m, "reason %s\n", map.reason);
	for (i = 0; i < map.count; i++)
		seq_printf(m, "extent %llu %llu %llu\n", map.extents[i].file, map.extents[i].device, map.extents[i].length);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mxfs_lockstate);

static int mxfs_names_show(struct seq_file *m, void *v)
{
	return mxfs_orphans_show(m, m->private);
}
DEFINE_SHOW_ATTRIBUTE(mxfs_names);

void mxfs_debugfs_init(void)
{
	mxfs_debugfs_root = debugfs_create_dir("mxfs", NULL);
}

void mxfs_debugfs_exit(void)
{
	debugfs_remove(mxfs_debugfs_root);
}

void mxfs_debugfs_add(struct mxfs_sb *sbi)
{
	sbi->debugfs = debugfs_create_dir(sbi->name, mxfs_debugfs_root);
	debugfs_create_file("status", 0400, sbi->debugfs, sbi, &mxfs_status_fops);
	debugfs_create_file("changes", 0400, sbi->debugfs, sbi, &mxfs_changes_fops);
	debugfs_create_file("lockstate", 0400, sbi->debugfs, sbi, &mxfs_lockstate_fops);
	debugfs_create_file("orphans", 0400, sbi->debugfs, sbi, &mxfs_names_fops);
}

void mxfs_debugfs_del(struct mxfs_sb *sbi)
{
	debugfs_remove(sbi->debugfs);
	sbi->debugfs = NULL;
}
