// SPDX-License-Identifier: Apache-2.0
/*
 * map_many FOLDER COUNT BYTES: makes COUNT files of BYTES, stores a byte into each page of each through a map, and lets everything
 * go. What is left is dirty pages of files that nobody has open.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[4096];
	long count, bytes, i, at;

	if (argc != 4 || (count = atol(argv[2])) <= 0 || (bytes = atol(argv[3])) <= 0)
		return 2;
	for (i = 0; i < count; i++) {
		char *map;
		int fd;

		snprintf(path, sizeof(path), "%s/m%ld", argv[1], i);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (fd < 0 || ftruncate(fd, bytes)) {
			perror(path);
			return 1;
		}
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED) {
			perror("mmap");
			return 1;
		}
		for (at = 0; at < bytes; at += 4096)
			map[at] = 'm';
		munmap(map, bytes);
		close(fd);
	}
	return 0;
}
