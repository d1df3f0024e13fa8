/* What the queue path is measured against: the least that the queue manager demands, as a plain loop, and the device
 * that answers both contenders. Ring layout and phase rule as in the queue memory of a real device: descriptors of 128
 * bytes, completion entries of 16 with the slot at byte 8 and the phase in bit 0 of byte 14. A doorbell is a store to
 * memory; submission and completion have a word each, as a device that samples memory would lose one of two stores to
 * the same word.
 */
#include <sched.h>
#include <stdint.h>
#include <time.h>

enum { SQE_WORDS = 16, BATCH = 32 };

struct cqe {
	uint32_t reserved;
	uint16_t command, reserved1;
	uint16_t sq_head, sq_num;
	uint16_t reserved2, w7;
};

/* One queue; offsets are shared with link.rs. */
struct queue {
	volatile uint64_t *sq;
	volatile struct cqe *cq;
	uint64_t *sq_bell, *cq_bell;
	uint32_t depth;
	/* the device's side */
	uint32_t head, cq_index, phase;
};

struct plain {
	uint32_t tail, head, phase, unreturned;
};

static uint32_t next(uint32_t index, uint32_t depth)
{
	return index + 1 == depth ? 0 : index + 1;
}

/* ---- the plain loop ---- */

static void put(struct queue *q, struct plain *p, const uint64_t *sqe)
{
	volatile uint64_t *slot = q->sq + (uint64_t)p->tail * SQE_WORDS;
	for (int i = 0; i < SQE_WORDS; i++)
		slot[i] = sqe[i];
	p->tail = next(p->tail, q->depth);
}

static void ring(struct queue *q, struct plain *p)
{
	__atomic_store_n(q->sq_bell, p->tail, __ATOMIC_RELEASE);
}

static int take(struct queue *q, struct plain *p, uint64_t *sqe)
{
	volatile struct cqe *cqe = q->cq + p->head;
	if ((cqe->w7 & 1) != p->phase)
		return 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	volatile uint64_t *slot = q->sq + (uint64_t)cqe->sq_head * SQE_WORDS;
	for (int i = 0; i < SQE_WORDS; i++)
		sqe[i] = slot[i];
	p->head = next(p->head, q->depth);
	if (p->head == 0)
		p->phase ^= 1;
	if (++p->unreturned >= BATCH) {
		__atomic_store_n(q->cq_bell, p->head, __ATOMIC_RELEASE);
		p->unreturned = 0;
	}
	return 1;
}

/* `count` requests, one at a time. */
void plain_single(struct queue *q, struct plain *p, uint64_t *sqe, uint64_t count)
{
	while (count--) {
		put(q, p, sqe);
		ring(q, p);
		while (!take(q, p, sqe))
			;
	}
}

/* `count` requests, `depth` with one doorbell, then all of them waited for. */
void plain_batch(struct queue *q, struct plain *p, uint64_t *sqes, uint64_t count, uint64_t depth)
{
	for (uint64_t done = 0; done < count; done += depth) {
		for (uint64_t i = 0; i < depth; i++)
			put(q, p, sqes + i * SQE_WORDS);
		ring(q, p);
		for (uint64_t i = 0; i < depth; i++)
			while (!take(q, p, sqes + i * SQE_WORDS))
				;
	}
}

/* `count` requests, a doorbell each, the next as soon as fewer than `depth` are in flight. */
void plain_window(struct queue *q, struct plain *p, uint64_t *sqe, uint64_t count, uint64_t depth)
{
	uint64_t back[SQE_WORDS];
	for (uint64_t sent = 0, done = 0; done < count;) {
		if (sent < count && sent - done < depth) {
			put(q, p, sqe);
			ring(q, p);
			sent++;
		} else {
			while (!take(q, p, back))
				;
			done++;
		}
	}
}

/* `count` times two bare hand-overs of a cache line. */
void bare_ping(uint64_t *ping, uint64_t *pong, uint64_t count)
{
	uint64_t base = __atomic_load_n(pong, __ATOMIC_ACQUIRE);
	for (uint64_t i = 1; i <= count; i++) {
		__atomic_store_n(ping, base + i, __ATOMIC_RELEASE);
		while (__atomic_load_n(pong, __ATOMIC_ACQUIRE) != base + i)
			;
	}
}

/* ---- the device ---- */

/* Answers everything announced so far: looks at both lines of the descriptor, writes back into both. */
uint32_t echo_step(struct queue *q)
{
	uint32_t tail = (uint32_t)__atomic_load_n(q->sq_bell, __ATOMIC_ACQUIRE), served = 0;
	while (q->head != tail) {
		volatile uint64_t *sqe = q->sq + (uint64_t)q->head * SQE_WORDS;
		sqe[3] = ~sqe[3];
		sqe[SQE_WORDS - 1] = ~sqe[SQE_WORDS - 1];
		volatile struct cqe *cqe = q->cq + q->cq_index;
		cqe->sq_head = (uint16_t)q->head;
		__atomic_thread_fence(__ATOMIC_RELEASE);
		cqe->w7 = (uint16_t)q->phase;
		q->head = next(q->head, q->depth);
		q->cq_index = next(q->cq_index, q->depth);
		if (q->cq_index == 0)
			q->phase ^= 1;
		served++;
	}
	return served;
}

/* Serves one queue while `*mode` stays `mine`. */
void echo_serve(struct queue *q, const uint64_t *mode, uint64_t mine)
{
	while (__atomic_load_n(mode, __ATOMIC_RELAXED) == mine)
		echo_step(q);
}

void echo_pong(uint64_t *ping, uint64_t *pong, const uint64_t *mode, uint64_t mine)
{
	uint64_t last = __atomic_load_n(pong, __ATOMIC_RELAXED);
	while (__atomic_load_n(mode, __ATOMIC_RELAXED) == mine) {
		uint64_t now = __atomic_load_n(ping, __ATOMIC_ACQUIRE);
		if (now != last)
			__atomic_store_n(pong, last = now, __ATOMIC_RELEASE);
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Serves several queues while `*mode` stays `mine`; what is announced is answered `delay_ns` after it was seen. Lets others
 * run when there is nothing to do, as hardware does not compete for processors. */
void echo_serve_many(struct queue *const *queues, uint64_t count, const uint64_t *mode, uint64_t mine, uint64_t delay_ns)
{
	uint64_t due[16] = { 0 };
	while (__atomic_load_n(mode, __ATOMIC_RELAXED) == mine) {
		uint32_t busy = 0;
		for (uint64_t i = 0; i < count && i < 16; i++) {
			struct queue *q = queues[i];
			if (q->head == (uint32_t)__atomic_load_n(q->sq_bell, __ATOMIC_ACQUIRE))
				continue;
			if (delay_ns) {
				uint64_t now = now_ns();
				if (!due[i])
					due[i] = now + delay_ns;
				if (now < due[i])
					continue;
				due[i] = 0;
			}
			busy += echo_step(q);
		}
		if (!busy)
			sched_yield();
	}
}
