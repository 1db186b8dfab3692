// SPDX-License-Identifier: Apache-2.0
/*
 * Several threads of one process work in one directory, each on files of its own name: create, append, overwrite, map,
 * rename, link, unlink, and open files that have no name. Each file's content is known, and checked whenever it
 * is met and at the end. For one node alone and, with other numbers, for several nodes at once.
 *
 *	stress DIRECTORY NUMBER THREADS SECONDS	work, then leave the files
 *	stress DIRECTORY NUMBER check		check what NUMBER left (from any node) and remove it
 *
 * A file is named "s<number>-<thread>-<slot>" and begins with a header that says its seed and length, so that anybody can check it.
 */
#include "tap.h"
#include <pthread.h>

enum { SLOTS = 12, MAX_LEN = 60000 };

struct header {
	uint64_t magic;
	uint64_t seed;
	uint64_t length;	/* of what follows */
};

#define MAGIC 0x7373657274732d6dull

static int number, seconds;
static volatile bool stop;
static long total, worst_ms;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void check_fd(int fd, const char *name, uint64_t seed, uint64_t length, char *buf)
{
	struct header h;
	struct stat st;
	long long at;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h))
		tap_end(errno, "%s: header is missing", name);
	if (h.magic != MAGIC || (seed && (h.seed != seed || h.length != length)))
		tap_end(0, "%s: header says magic %llx seed %llx length %llu, expected seed %llx length %llu", name,
		      (unsigned long long)h.magic, (unsigned long long)h.seed, (unsigned long long)h.length,
		      (unsigned long long)seed, (unsigned long long)length);
	if (fstat(fd, &st) || (uint64_t)st.st_size != sizeof(h) + h.length)
		tap_end(0, "%s: size %lld, header says %llu", name, (long long)st.st_size, (unsigned long long)h.length);
	if (pread(fd, buf, h.length, sizeof(h)) != (ssize_t)h.length)
		tap_end(errno, "%s: cannot be read", name);
	at = tap_differs(buf, h.length, h.seed, 0);
	if (at >= 0)
		tap_end(0, "%s: wrong byte at %lld of %llu", name, at + (long long)sizeof(h), (unsigned long long)h.length);
}

static void check_name(const char *name, uint64_t seed, uint64_t length, char *buf)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		tap_end(errno, "%s: cannot be opened", name);
	check_fd(fd, name, seed, length, buf);
	close(fd);
}

static void put(int fd, const char *name, uint64_t seed, uint64_t length, char *buf, bool mapped)
{
	struct header h = { MAGIC, seed, length };
	char *m;

	tap_pattern(buf, length, seed, 0);
	if (mapped) {
		if (ftruncate(fd, sizeof(h) + length))
			tap_end(errno, "%s: truncate", name);
		m = mmap(NULL, sizeof(h) + length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (m == MAP_FAILED)
			tap_end(errno, "%s: mmap", name);
		memcpy(m, &h, sizeof(h));
		memcpy(m + sizeof(h), buf, length);
		munmap(m, sizeof(h) + length);
		return;
	}
	if (pwrite(fd, &h, sizeof(h), 0) != sizeof(h) || pwrite(fd, buf, length, sizeof(h)) != (ssize_t)length ||
	    ftruncate(fd, sizeof(h) + length))
		tap_end(errno, "%s: write of %llu", name, (unsigned long long)length);
}

static void *work(void *arg)
{
	int thread = (int)(intptr_t)arg, fd, nameless = -1;
	uint64_t seeds[SLOTS] = { 0 }, lengths[SLOTS] = { 0 }, state = tap_mix(number * 1000 + thread);
	uint64_t nameless_seed = 0, nameless_length = 0;
	char name[64], other[64], *buf = malloc(MAX_LEN * 2), *m;
	long done = 0, worst = 0;
	double before;

	while (!stop) {
		int slot = (state = tap_mix(state)) % SLOTS, second = (slot + 1 + (state >> 8) % (SLOTS - 1)) % SLOTS;
		uint64_t length = 1 + (state >> 16) % MAX_LEN;

		snprintf(name, sizeof(name), "s%d-%d-%d", number, thread, slot);
		snprintf(other, sizeof(other), "s%d-%d-%d", number, thread, second);
		before = tap_millis();
		if (!seeds[slot]) {
			fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0644);
			if (fd < 0)
				tap_end(errno, "%s: create", name);
			seeds[slot] = state;
			lengths[slot] = length;
			put(fd, name, state, length, buf, state >> 40 & 1);
			close(fd);
		} else {
			switch ((state >> 44) % 9) {
			case 0:	/* all new content */
			case 1:
				fd = open(name, O_RDWR);
				if (fd < 0)
					tap_end(errno, "%s: open", name);
				seeds[slot] = state;
				lengths[slot] = length;
				put(fd, name, state, length, buf, state >> 40 & 1);
				close(fd);
				break;
			case 2:	/* append: the pattern goes on */
				if (lengths[slot] + 3000 > MAX_LEN)
					break;
				fd = open(name, O_RDWR | O_APPEND);
				tap_pattern(buf, 3000, seeds[slot], lengths[slot]);
				if (fd < 0 || write(fd, buf, 3000) != 3000)
					tap_end(errno, "%s: append", name);
				close(fd);
				lengths[slot] += 3000;
				fd = open(name, O_RDWR);
				if (fd < 0 || pwrite(fd, &lengths[slot], 8, offsetof(struct header, length)) != 8)
					tap_end(errno, "%s: header", name);
				close(fd);
				break;
			case 3:	/* rename over another one */
				if (rename(name, other))
					tap_end(errno, "rename %s %s", name, other);
				seeds[second] = seeds[slot];
				lengths[second] = lengths[slot];
				seeds[slot] = 0;
				check_name(other, seeds[second], lengths[second], buf);
				break;
			case 4:
				if (unlink(name))
					tap_end(errno, "unlink %s", name);
				seeds[slot] = 0;
				if (!access(name, F_OK))
					tap_end(0, "%s is still there", name);
				break;
			case 5:	/* keep one open without a name */
				if (nameless >= 0) {
					check_fd(nameless, "nameless file", nameless_seed, nameless_length, buf);
					close(nameless);
				}
				nameless = open(name, O_RDWR);
				nameless_seed = seeds[slot];
				nameless_length = lengths[slot];
				seeds[slot] = 0;
				if (nameless < 0 || unlink(name))
					tap_end(errno, "%s: open and unlink", name);
				break;
			case 6:	/* by map */
				fd = open(name, O_RDONLY);
				m = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct header) + lengths[slot], PROT_READ,
							       MAP_SHARED, fd, 0);
				if (m == MAP_FAILED)
					tap_end(errno, "%s: mmap", name);
				if (tap_differs(m + sizeof(struct header), lengths[slot], seeds[slot], 0) >= 0)
					tap_end(0, "%s: wrong byte in a map", name);
				munmap(m, sizeof(struct header) + lengths[slot]);
				close(fd);
				break;
			case 7:
				fd = open(name, O_RDONLY);
				if (fd < 0 || fsync(fd))
					tap_end(errno, "%s: fsync", name);
				close(fd);
				break;
			default:
				check_name(name, seeds[slot], lengths[slot], buf);
			}
		}
		long ms = tap_millis() - before;

		worst = ms > worst ? ms : worst;
		done++;
	}
	for (int slot = 0; slot < SLOTS; slot++) {
		if (!seeds[slot])
			continue;
		snprintf(name, sizeof(name), "s%d-%d-%d", number, thread, slot);
		check_name(name, seeds[slot], lengths[slot], buf);
	}
	if (nameless >= 0)
		check_fd(nameless, "nameless file", nameless_seed, nameless_length, buf);
	pthread_mutex_lock(&lock);
	total += done;
	worst_ms = worst > worst_ms ? worst : worst_ms;
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int check_all(void)
{
	char prefix[32], *buf = malloc(MAX_LEN * 2);
	struct dirent *entry;
	int found = 0, bytes = snprintf(prefix, sizeof(prefix), "s%d-", number);
	char (*names)[64] = calloc(10000, sizeof(*names));
	DIR *dir = opendir(".");

	if (!dir)
		tap_end(errno, "opendir");
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, prefix, bytes) && found < 10000)
			snprintf(names[found++], sizeof(*names), "%.63s", entry->d_name);
	closedir(dir);
	for (int i = 0; i < found; i++) {
		check_name(names[i], 0, 0, buf);
		if (unlink(names[i]))
			tap_end(errno, "unlink %s", names[i]);
	}
	printf("ok: %d files of number %d checked and removed\n", found, number);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int count;

	if (argc < 4 || chdir(argv[1])) {
		fprintf(stderr, "usage: %s DIRECTORY NUMBER THREADS SECONDS | DIRECTORY NUMBER check\n", argv[0]);
		return 2;
	}
	number = atoi(argv[2]);
	if (!strcmp(argv[3], "check"))
		return check_all();
	count = atoi(argv[3]);
	seconds = argc > 4 ? atoi(argv[4]) : 10;
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i))
			tap_end(errno, "pthread_create");
	for (double end = tap_millis() + seconds * 1000; tap_millis() < end;)
		usleep(100000);
	stop = true;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("ok: %ld operations in %d s, slowest %ld ms\n", total, seconds, worst_ms);
	return 0;
}
