/* One queue of a uacce device, driven as the kernel documentation says: what the test drivers share. */
#ifndef QUEUE_H
#define QUEUE_H
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_Q _IO('W', 0)
#define PUT_Q _IO('W', 1)
struct qp_ctx { uint16_t id, qc_type; };
struct qp_info { uint32_t sqe_size; uint16_t sq_depth, cq_depth; uint64_t reserved; };
#define QM_CTX _IOWR('H', 10, struct qp_ctx)
#define QM_INFO _IOWR('H', 11, struct qp_info)

#define CHECK(what)                                                                                        \
	do {                                                                                               \
		if (!(what)) {                                                                             \
			printf("failed at line %d: %s (errno %d)\n", __LINE__, #what, errno);              \
			fflush(stdout);                                                                    \
			_exit(1);                                                                          \
		}                                                                                          \
	} while (0)

struct queue {
	int fd;
	size_t dus_size, mmio_size;
	uint8_t *dus, *mmio;
	uint16_t sqn, depth;
	uint32_t sqe_size;
	uint16_t tail, head;
	int phase;
};

static inline void attribute(const char *device, const char *name, char *text, size_t room)
{
	char path[PATH_MAX], real[PATH_MAX];
	snprintf(path, sizeof path, "/sys/class/uacce/%s/%s", device, name);
	CHECK(realpath(path, real));
	int fd = open(real, O_RDONLY);
	CHECK(fd >= 0);
	ssize_t n = read(fd, text, room - 1);
	CHECK(n > 0 && text[n - 1] == '\n');
	text[n - 1] = 0;
	close(fd);
}

static inline long number(const char *device, const char *name)
{
	char text[400];
	attribute(device, name, text, sizeof text);
	return strtol(text, NULL, 10);
}

static inline int node(const char *device)
{
	char path[PATH_MAX], real[PATH_MAX];
	snprintf(path, sizeof path, "/dev/%s", device);
	CHECK(realpath(path, real) && !strcmp(path, real));
	return open(path, O_RDWR | O_CLOEXEC);
}

static inline void map(struct queue *q, const char *device)
{
	long page = sysconf(_SC_PAGESIZE);
	q->dus_size = number(device, "region_dus_size");
	q->mmio_size = number(device, "region_mmio_size");
	q->dus = mmap(NULL, q->dus_size, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, page);
	CHECK(q->dus != MAP_FAILED);
	q->mmio = mmap(NULL, q->mmio_size, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);
	CHECK(q->mmio != MAP_FAILED);
}

static inline struct queue prepare(const char *device, int qc_type)
{
	struct queue q = { .fd = node(device), .phase = 1 };
	CHECK(q.fd >= 0);
	map(&q, device);
	struct qp_ctx ctx = { .qc_type = qc_type };
	CHECK(ioctl(q.fd, QM_CTX, &ctx) == 0);
	struct qp_info info = { 0 };
	CHECK(ioctl(q.fd, QM_INFO, &info) == 0);
	q.sqn = ctx.id;
	q.depth = info.sq_depth;
	q.sqe_size = info.sqe_size;
	CHECK(q.sqn < 1024 && info.sq_depth == info.cq_depth);
	return q;
}

static inline struct queue start(const char *device, int qc_type)
{
	struct queue q = prepare(device, qc_type);
	CHECK(ioctl(q.fd, START_Q) == 0);
	return q;
}

static inline void store(struct queue *q, uint64_t value)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint64_t *)(q->mmio + 0x1000) = value;
}

static inline void ring_sq(struct queue *q) { store(q, q->sqn | (uint64_t)q->tail << 32); }
static inline void ring_cq(struct queue *q, int arm) { store(q, q->sqn | 1 << 12 | (uint64_t)q->head << 32 | (uint64_t)arm << 48); }

/* An entry whose request type no table knows. */
static inline void submit_nonsense(struct queue *q, int ring)
{
	memset(q->dus + q->sqe_size * q->tail, 0xff, q->sqe_size);
	q->tail = (q->tail + 1) % q->depth;
	if (ring)
		ring_sq(q);
}

static inline volatile uint8_t *entry(struct queue *q) { return q->dus + q->sqe_size * q->depth + 16 * q->head; }
static inline int arrived(struct queue *q) { return (__atomic_load_n((uint16_t *)(entry(q) + 14), __ATOMIC_ACQUIRE) & 1) == q->phase; }
static inline uint32_t word(struct queue *q, int from_end) { return __atomic_load_n((uint32_t *)(q->dus + q->dus_size - from_end), __ATOMIC_ACQUIRE); }
static inline uint32_t tx(struct queue *q) { return word(q, 4); }
static inline uint32_t rx(struct queue *q) { return word(q, 8); }

static inline void pause_ms(int ms) { usleep(ms * 1000); }

static inline void await(struct queue *q)
{
	for (int n = 0; n < 60000 && !arrived(q); n++)
		pause_ms(1);
	CHECK(arrived(q));
}

/* Consumes one completion, which must be for the slot given. */
static inline void reap(struct queue *q, int slot)
{
	await(q);
	CHECK(*(volatile uint16_t *)(entry(q) + 8) == slot);
	CHECK(*(volatile uint16_t *)(entry(q) + 10) == q->sqn);
	if (++q->head == q->depth) {
		q->head = 0;
		q->phase = !q->phase;
	}
}

static inline void release(struct queue *q)
{
	CHECK(ioctl(q->fd, PUT_Q) == 0);
	CHECK(munmap(q->dus, q->dus_size) == 0);
	CHECK(munmap(q->mmio, q->mmio_size) == 0);
	CHECK(close(q->fd) == 0);
}

/* One stateless zlib request, flat buffers; returns the status. The header is the driver's: not part of it. */
static inline int request_at(struct queue *q, uint64_t in, uint32_t in_len, uint64_t out, uint32_t room, uint32_t *used, uint32_t *made)
{
	char text[32];
	attribute("hisi_zip-4", "api", text, sizeof text);
	int v3 = !strncmp(text, "hisi_qm_v3", 10), slot = q->tail;
	uint32_t *dw = (uint32_t *)(q->dus + q->sqe_size * slot), fill[32] = { 0 };
	fill[4] = in_len;
	fill[7] = v3 ? 0x3a000000 : 0x0a000000;
	fill[9] = 0x4002;
	fill[14] = room;
	fill[18] = (uint32_t)in, fill[19] = (uint32_t)(in >> 32);
	fill[20] = (uint32_t)out, fill[21] = (uint32_t)(out >> 32);
	fill[v3 ? 26 : 13] = 0x1234;
	memcpy(dw, fill, sizeof fill);
	q->tail = (q->tail + 1) % q->depth;
	ring_sq(q);
	reap(q, slot);
	for (int n = 4; n < 28; n++)
		CHECK(n == 15 || dw[n] == fill[n]);          /* inputs come back unchanged */
	*used = dw[0], *made = dw[1];
	int status = dw[3] & 0xff;
	ring_cq(q, 0);
	return status;
}

static inline int request(struct queue *q, const void *in, uint32_t in_len, void *out, uint32_t room, uint32_t *used, uint32_t *made)
{
	return request_at(q, (uintptr_t)in, in_len, (uintptr_t)out, room, used, made);
}

#endif
