/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: mount options (options.c).
 */
#ifndef _MXFS_OPTIONS_H
#define _MXFS_OPTIONS_H

#include <linux/fs_parser.h>
#include <linux/seq_file.h>
#include "sb.h"

extern const struct fs_parameter_spec mxfs_params[];
void mxfs_options_init(struct mxfs_opts *opts);
void mxfs_options_free(struct mxfs_opts *opts);
int mxfs_parse_param(struct fs_context *fc, struct fs_parameter *param);
const char *mxfs_options_differ(struct mxfs_sb *sbi, const struct mxfs_opts *given);
int mxfs_give_xfs_options(const struct mxfs_opts *opts, struct fs_context *fc, u16 quotas);
const char *mxfs_xfs_options_text(const struct mxfs_opts *opts, char *buf, size_t size);
int mxfs_show_options(struct seq_file *m, struct dentry *root);

#endif /* _MXFS_OPTIONS_H */
