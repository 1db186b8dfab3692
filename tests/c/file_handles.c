// SPDX-License-Identifier: Apache-2.0
/*
 * File handles across umount and mount, as an NFS server keeps them.
 *
 *	file_handles save DIRECTORY STORE	makes files and folders, stores their handles in another file system
 *	file_handles check DIRECTORY STORE	opens each by its handle and checks inode and content
 *	file_handles raw DIRECTORY STORE PATH...	stores plain XFS's handles of some paths
 *	file_handles wrapped DIRECTORY STORE	opens by mxfs's handles of the same: all but the last must be refused
 */
#include "tap.h"

enum { FILES = 200 };

struct record {
	struct file_handle h;
	unsigned char room[MAX_HANDLE_SZ];
	ino_t ino;
	mode_t mode;
};

/* A handle of mxfs is XFS's behind one word, its type. */
static struct record wrapped(const struct record *raw)
{
	struct record r = { .h.handle_type = 0x6d, .h.handle_bytes = raw->h.handle_bytes + 4 };
	uint32_t type = raw->h.handle_type;

	memcpy(r.h.f_handle, &type, 4);
	memcpy(r.h.f_handle + 4, raw->h.f_handle, raw->h.handle_bytes);
	return r;
}

static int raw(const char *store_path, int count, char **paths)
{
	int store = OK(open(store_path, O_CREAT | O_TRUNC | O_WRONLY, 0600)), mount_id;

	for (int i = 0; i < count; i++) {
		struct record r = { .h.handle_bytes = MAX_HANDLE_SZ };

		OK(name_to_handle_at(AT_FDCWD, paths[i], &r.h, &mount_id, 0));
		CHECK_EQ(write(store, &r, sizeof(r)), sizeof(r));
	}
	return 0;
}

static int open_wrapped(int here, const char *store_path)
{
	int store = OK(open(store_path, O_RDONLY)), refused = 0;
	struct record r, w;
	off_t left = OK(lseek(store, 0, SEEK_END)) / sizeof(r);

	OK(lseek(store, 0, SEEK_SET));
	for (; left > 0; left--) {
		CHECK_EQ(read(store, &r, sizeof(r)), sizeof(r));
		w = wrapped(&r);
		if (left == 1) {
			close(OK(open_by_handle_at(here, &w.h, O_RDONLY)));
		} else {
			FAILS(open_by_handle_at(here, &w.h, O_RDONLY), ESTALE);
			FAILS(open_by_handle_at(here, &w.h, O_PATH), ESTALE);
			refused++;
		}
	}
	printf("%d refused\n", refused);
	return 0;
}

int main(int argc, char **argv)
{
	char name[64];
	int here, store, mount_id;
	struct stat st;

	tap_pipe = 2;
	if (argc != 4 && (argc < 4 || strcmp(argv[1], "raw"))) {
		fprintf(stderr, "usage: %s save|check|raw|wrapped DIRECTORY STORE [PATH...]\n", argv[0]);
		return 2;
	}
	here = OK(open(argv[2], O_RDONLY | O_DIRECTORY));
	OK(fchdir(here));
	if (!strcmp(argv[1], "raw"))
		return raw(argv[3], argc - 4, argv + 4);
	if (!strcmp(argv[1], "wrapped"))
		return open_wrapped(here, argv[3]);
	if (!strcmp(argv[1], "save")) {
		store = OK(open(argv[3], O_CREAT | O_TRUNC | O_WRONLY, 0600));
		for (int i = 0; i < FILES; i++) {
			struct record r = { .h.handle_bytes = MAX_HANDLE_SZ };

			snprintf(name, sizeof(name), "handle-%d", i);
			if (i % 5 == 0)
				OK(mkdir(name, 0755));
			else
				close(MAKE_FILE(name, 100 + i * 37, i));
			OK(name_to_handle_at(AT_FDCWD, name, &r.h, &mount_id, 0));
			OK(stat(name, &st));
			r.ino = st.st_ino;
			r.mode = st.st_mode;
			CHECK_EQ(write(store, &r, sizeof(r)), sizeof(r));
		}
		OK(unlink("handle-1"));
		printf("saved %d handles\n", FILES);
		return 0;
	}
	store = OK(open(argv[3], O_RDONLY));
	for (int i = 0; i < FILES; i++) {
		struct record r;
		int fd;

		CHECK_EQ(read(store, &r, sizeof(r)), sizeof(r));
		if (i == 1) {
			FAILS(open_by_handle_at(here, &r.h, O_RDONLY), ESTALE);
			continue;
		}
		fd = OK(open_by_handle_at(here, &r.h, O_RDONLY));
		OK(fstat(fd, &st));
		CHECK_EQ(st.st_ino, r.ino);
		CHECK_EQ(st.st_mode, r.mode);
		if (S_ISREG(r.mode)) {
			CHECK_EQ(st.st_size, 100 + i * 37);
			HOLDS(fd, 0, 100 + i * 37, i, 0);
		}
		close(fd);
	}
	printf("%d handles are good, 1 is stale as it must be\n", FILES - 1);
	return 0;
}
