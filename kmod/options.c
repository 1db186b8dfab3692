// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: mount options.
 *
 * Three kinds: our own; XFS's, which XFS is asked about at once and given at each attach; and the
 * VFS's, which are flags of the superblock and of the mount and never come here.
 *
 * Our own are for the life of a mount. One that is given again, by a remount or by a second mount of
 * the device, has to say the same; what is not given again stays.
 */
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "compat.h"
#include "options.h"

enum {
	Opt_validate,
	Opt_debug,
	Opt_iface,
	Opt_port,
	Opt_multicast,
	Opt_broadcast,
	Opt_errors,
	Opt_lease_ms,
	Opt_quantum_ms,
	Opt_ready_ms,
};

static const struct constant_table mxfs_errors[] = { { "shutdown", 0 }, {} };

const struct fs_parameter_spec mxfs_params[] = { fsparam_flag("validate", Opt_validate),
						 fsparam_flag("debug", Opt_debug),
						 fsparam_string("iface", Opt_iface),
						 fsparam_u32("port", Opt_port),
						 fsparam_string("multicast", Opt_multicast),
						 fsparam_string("broadcast", Opt_broadcast),
						 fsparam_enum("errors", Opt_errors, mxfs_errors),
						 fsparam_u32("lease_ms", Opt_lease_ms),
						 fsparam_u32("quantum_ms", Opt_quantum_ms),
						 fsparam_u32("ready_ms", Opt_ready_ms),
						 {} };

/* sb_qflags in XFS's superblock: xfs_log_format.h */
#define MXFS_UQUOTA_ACCT 0x0001
#define MXFS_UQUOTA_ENFD 0x0002
#define MXFS_PQUOTA_ACCT 0x0008
#define MXFS_GQUOTA_ACCT 0x0040
#define MXFS_GQUOTA_ENFD 0x0080
#define MXFS_PQUOTA_ENFD 0x0200
#define MXFS_UQUOTA (MXFS_UQUOTA_ACCT | MXFS_UQUOTA_ENFD)
#define MXFS_GQUOTA (MXFS_GQUOTA_ACCT | MXFS_GQUOTA_ENFD)
#define MXFS_PQUOTA (MXFS_PQUOTA_ACCT | MXFS_PQUOTA_ENFD)

/* What xfs_fs_parse_param() makes of XFS's options for quotas. */
static const struct {
	const char *key;
	u16 set, clear;
} mxfs_quota_options[] = {
	{ "quota", MXFS_UQUOTA, 0 },
	{ "uquota", MXFS_UQUOTA, 0 },
	{ "usrquota", MXFS_UQUOTA, 0 },
	{ "qnoenforce", MXFS_UQUOTA_ACCT, MXFS_UQUOTA_ENFD },
	{ "uqnoenforce", MXFS_UQUOTA_ACCT, MXFS_UQUOTA_ENFD },
	{ "gquota", MXFS_GQUOTA, 0 },
	{ "grpquota", MXFS_GQUOTA, 0 },
	{ "gqnoenforce", MXFS_GQUOTA_ACCT, MXFS_GQUOTA_ENFD },
	{ "pquota", MXFS_PQUOTA, 0 },
	{ "prjquota", MXFS_PQUOTA, 0 },
	{ "pqnoenforce", MXFS_PQUOTA_ACCT, MXFS_PQUOTA_ENFD },
	{ "noquota", 0, MXFS_ALL_QUOTAS },
};

/* The other way, for each kind: enforced, or only counted. */
static const struct {
	u16 enforced, counted;
	const char *enforced_key, *counted_key;
} mxfs_quota_kinds[] = {
	{ MXFS_UQUOTA_ENFD, MXFS_UQUOTA_ACCT, "usrquota", "uqnoenforce" },
	{ MXFS_PQUOTA_ENFD, MXFS_PQUOTA_ACCT, "prjquota", "pqnoenforce" },
	{ MXFS_GQUOTA_ENFD, MXFS_GQUOTA_ACCT, "grpquota", "gqnoenforce" },
};

/* The option that says it, or NULL where quotas of this kind are off. */
static const char *mxfs_quota_key(int kind, u16 quotas)
{
	if (quotas & mxfs_quota_kinds[kind].enforced)
		return mxfs_quota_kinds[kind].enforced_key;
	if (quotas & mxfs_quota_kinds[kind].counted)
		return mxfs_quota_kinds[kind].counted_key;
	return NULL;
}

/* XFS's own, as it was given; the last one of a key counts. */
struct mxfs_xfs_option {
	struct list_head entry;
	char *value; /* NULL: a flag */
	char key[];
};

void mxfs_options_init(struct mxfs_opts *opts)
{
	INIT_LIST_HEAD(&opts->xfs);
	opts->port = MXFS_DEFAULT_PORT;
	opts->lease_ms = MXFS_DEFAULT_LEASE_MS;
	opts->quantum_ms = MXFS_DEFAULT_QUANTUM_MS;
	opts->ready_ms = MXFS_DEFAULT_READY_MS;
}

void mxfs_options_free(struct mxfs_opts *opts)
{
	struct mxfs_xfs_option *option, *next;

	list_for_each_entry_safe(option, next, &opts->xfs, entry) {
		kfree(option->value);
		kfree(option);
	}
	kfree(opts->iface);
	kfree(opts->multicast);
	kfree(opts->broadcast);
}

static int mxfs_range(struct fs_context *fc, struct fs_parameter *param, u32 value, u32 low,
		      u32 high)
{
	if (value >= low && value <= high)
		return 0;
	return invalf(fc, "mxfs: %s=%u is out of range (%u to %u)", param->key, value, low, high);
}

static int mxfs_take_string(struct fs_context *fc, struct fs_parameter *param, char **to)
{
	if (!*param->string || strlen(param->string) >= MXFS_STRING_MAX)
		return invalf(fc, "mxfs: %s= needs a value of at most %d characters", param->key,
			      MXFS_STRING_MAX - 1);
	kfree(*to);
	*to = param->string;
	param->string = NULL;
	return 0;
}

/* Is it an option of XFS, and a value that it understands? -ENOPARAM: no such option. */
static int mxfs_ask_xfs(struct fs_parameter *param)
{
	struct file_system_type *type = get_fs_type("xfs");
	struct fs_context *fc;
	int err;

	if (!type)
		return -ENODEV;
	fc = fs_context_for_mount(type, SB_KERNMOUNT);
	module_put(type->owner); /* what put_filesystem(), which is not exported, does */
	if (IS_ERR(fc))
		return PTR_ERR(fc);
	err = fc->ops->parse_param ? fc->ops->parse_param(fc, param) : -ENOPARAM;
	put_fs_context(fc);
	return err;
}

static struct mxfs_xfs_option *mxfs_find_xfs_option(const struct mxfs_opts *opts, const char *key)
{
	struct mxfs_xfs_option *option;

	list_for_each_entry(option, &opts->xfs, entry)
		if (!strcmp(option->key, key))
			return option;
	return NULL;
}

static int mxfs_take_xfs_option(struct fs_context *fc, struct fs_parameter *param,
				struct mxfs_opts *opts)
{
	static const char * const refused[] = { "logdev", "rtdev", "norecovery" };
	const char *value = param->type == fs_value_is_string ? param->string : NULL;
	struct mxfs_xfs_option *option;
	size_t size;
	int i, err;

	if (param->type != fs_value_is_string && param->type != fs_value_is_flag)
		return -ENOPARAM;
	if (!strcmp(param->key, "source"))
		return -ENOPARAM; /* the VFS's */
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		if (!strcmp(param->key, refused[i]))
			return invalf(fc, "mxfs: %s is not possible on a shared volume",
				      param->key);
	err = mxfs_ask_xfs(param);
	if (err == -ENOPARAM || err == -ENOMEM)
		return err;
	if (err)
		return invalf(fc, "mxfs: XFS does not take %s%s%s", param->key, value ? "=" : "",
			      value ?: "");
	for (i = 0; i < ARRAY_SIZE(mxfs_quota_options); i++) {
		if (strcmp(param->key, mxfs_quota_options[i].key))
			continue;
		opts->quotas_given = true;
		opts->quotas &= ~mxfs_quota_options[i].clear;
		opts->quotas |= mxfs_quota_options[i].set;
		return 0;
	}
	option = mxfs_find_xfs_option(opts, param->key);
	if (option) {
		list_move_tail(&option->entry, &opts->xfs);
	} else {
		size = strlen(param->key) + 1;
		option = kzalloc(struct_size(option, key, size), GFP_KERNEL);
		if (!option)
			return -ENOMEM;
		strscpy(option->key, param->key, size);
		list_add_tail(&option->entry, &opts->xfs);
	}
	kfree(option->value);
	option->value = param->string;
	param->string = NULL;
	return 0;
}

int mxfs_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct mxfs_sb *sbi = fc->s_fs_info;
	struct mxfs_opts *opts = &sbi->opts;
	struct fs_parse_result result;
	int opt, err;

	opt = fs_parse(fc, mxfs_params, param, &result);
	if (opt == -ENOPARAM)
		return mxfs_take_xfs_option(fc, param, opts);
	if (opt < 0)
		return opt;
	opts->given |= BIT(opt);
	switch (opt) {
	case Opt_validate:
		opts->validate = true;
		return 0;
	case Opt_debug:
		opts->debug = true;
		return 0;
	case Opt_iface:
		return mxfs_take_string(fc, param, &opts->iface);
	case Opt_multicast:
		return mxfs_take_string(fc, param, &opts->multicast);
	case Opt_broadcast:
		return mxfs_take_string(fc, param, &opts->broadcast);
	case Opt_errors:
		return 0;
	case Opt_port:
		err = mxfs_range(fc, param, result.uint_32, 1, 65535);
		opts->port = result.uint_32;
		return err;
	case Opt_lease_ms:
		err = mxfs_range(fc, param, result.uint_32, 2000, 30000);
		opts->lease_ms = result.uint_32;
		return err;
	case Opt_quantum_ms:
		err = mxfs_range(fc, param, result.uint_32, 0, 10000);
		opts->quantum_ms = result.uint_32;
		return err;
	case Opt_ready_ms:
		err = mxfs_range(fc, param, result.uint_32, 100, 600000);
		opts->ready_ms = result.uint_32;
		return err;
	}
	return -EINVAL;
}

static bool mxfs_same_string(const char *one, const char *other)
{
	return one && other ? !strcmp(one, other) : one == other;
}

/* Does one of the options say the same in both? */
static bool mxfs_says_same(int opt, const struct mxfs_opts *one, const struct mxfs_opts *other)
{
	switch (opt) {
	case Opt_validate:
		return one->validate == other->validate;
	case Opt_debug:
		return one->debug == other->debug;
	case Opt_iface:
		return mxfs_same_string(one->iface, other->iface);
	case Opt_multicast:
		return mxfs_same_string(one->multicast, other->multicast);
	case Opt_broadcast:
		return mxfs_same_string(one->broadcast, other->broadcast);
	case Opt_port:
		return one->port == other->port;
	case Opt_lease_ms:
		return one->lease_ms == other->lease_ms;
	case Opt_quantum_ms:
		return one->quantum_ms == other->quantum_ms;
	case Opt_ready_ms:
		return one->ready_ms == other->ready_ms;
	}
	return true;
}

/**
 * mxfs_options_differ - is an option given that says something else than the mount's?
 * @sbi: the mount
 * @given: by a remount or a second mount
 *
 * Return: its name, or NULL.
 */
const char *mxfs_options_differ(struct mxfs_sb *sbi, const struct mxfs_opts *given)
{
	const struct fs_parameter_spec *spec;
	struct mxfs_xfs_option *option, *ours;

	for (spec = mxfs_params; spec->name; spec++)
		if ((given->given & BIT(spec->opt)) && !mxfs_says_same(spec->opt, &sbi->opts, given))
			return spec->name;
	list_for_each_entry(option, &given->xfs, entry) {
		ours = mxfs_find_xfs_option(&sbi->opts, option->key);
		if (!ours || !mxfs_same_string(ours->value, option->value))
			return option->key;
	}
	if (given->quotas_given && given->quotas != READ_ONCE(sbi->device.quotas))
		return "quota option";
	return NULL;
}

/**
 * mxfs_give_xfs_options - those that were given for XFS, to XFS
 * @opts: the mount's
 * @fc: of the mount of XFS that is to come
 * @quotas: those that are to be on, as in sb_qflags
 */
int mxfs_give_xfs_options(const struct mxfs_opts *opts, struct fs_context *fc, u16 quotas)
{
	struct mxfs_xfs_option *option;
	const char *key;
	int i, err;

	list_for_each_entry(option, &opts->xfs, entry) {
		err = mxfs_parse_string(fc, option->key, option->value);
		if (err)
			return err;
	}
	for (i = 0; i < ARRAY_SIZE(mxfs_quota_kinds); i++) {
		key = mxfs_quota_key(i, quotas);
		err = key ? mxfs_parse_string(fc, key, NULL) : 0;
		if (err)
			return err;
	}
	return 0;
}

/* All that were given for XFS, for a message; at most what fits. */
const char *mxfs_xfs_options_text(const struct mxfs_opts *opts, char *buf, size_t size)
{
	struct mxfs_xfs_option *option;
	size_t at = 0;

	*buf = '\0';
	list_for_each_entry(option, &opts->xfs, entry)
		at += scnprintf(buf + at, size - at, "%s%s%s%s", at ? "," : "", option->key,
				option->value ? "=" : "", option->value ?: "");
	return buf;
}

int mxfs_show_options(struct seq_file *m, struct dentry *root)
{
	struct mxfs_sb *sbi = MXFS_SB(root->d_sb);
	struct mxfs_opts *opts = &sbi->opts;
	struct mxfs_xfs_option *option;
	const char *key;
	int i;

	if (opts->debug)
		seq_puts(m, ",debug");
	if (opts->iface)
		seq_show_option(m, "iface", opts->iface);
	if (opts->multicast)
		seq_show_option(m, "multicast", opts->multicast);
	if (opts->broadcast)
		seq_show_option(m, "broadcast", opts->broadcast);
	if (opts->port != MXFS_DEFAULT_PORT)
		seq_printf(m, ",port=%u", opts->port);
	if (opts->lease_ms != MXFS_DEFAULT_LEASE_MS)
		seq_printf(m, ",lease_ms=%u", opts->lease_ms);
	if (opts->quantum_ms != MXFS_DEFAULT_QUANTUM_MS)
		seq_printf(m, ",quantum_ms=%u", opts->quantum_ms);
	if (opts->ready_ms != MXFS_DEFAULT_READY_MS)
		seq_printf(m, ",ready_ms=%u", opts->ready_ms);
	list_for_each_entry(option, &opts->xfs, entry)
		seq_show_option(m, option->key, option->value);
	for (i = 0; i < ARRAY_SIZE(mxfs_quota_kinds); i++) {
		key = mxfs_quota_key(i, READ_ONCE(sbi->device.quotas));
		if (key)
			seq_printf(m, ",%s", key);
	}
	return 0;
}
