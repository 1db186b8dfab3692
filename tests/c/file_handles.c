// SPDX-License-Identifier: Apache-2.0
/*
 * File handles across umount and mount, as an NFS server keeps them.
 *
 *	file_handles save DIRECTORY STORE	makes files and folders, stores their handles in another file system
 *	file_handles check DIRECTORY STORE	opens each by its handle and checks inode and content
 */
#include "tap.h"

enum { FILES = 200 };

struct record {
	struct file_handle h;
	unsigned char room[MAX_HANDLE_SZ];
	ino_t ino;
	mode_t mode;
};

int main(int argc, char **argv)
{
	char name[64];
	int here, store, mount_id;
	struct stat st;

	tap_pipe = 2;
	if (argc != 4) {
		fprintf(stderr, "usage: %s save|check DIRECTORY STORE\n", argv[0]);
		return 2;
	}
	here = OK(open(argv[2], O_RDONLY | O_DIRECTORY));
	OK(fchdir(here));
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
