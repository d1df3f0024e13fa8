/* What the fault plan does to a whole device, and requests without end for a test that kills.
 *
 * Usage: faults SCENARIO [DEVICE]. Ends with status 0 and "ok", or says which check failed. */
#include "queue.h"

static void await_death(struct queue *q)
{
	for (int n = 0; n < 60000 && !rx(q); n++)
		pause_ms(1);
	CHECK(tx(q) == 1 && rx(q) == 1);
}

static void good_request(struct queue *q, int status)
{
	static uint8_t data[5000], packed[8000];
	uint32_t used, made;
	int got = request(q, data, sizeof data, packed, sizeof packed, &used, &made);
	CHECK(status < 0 ? got != 0 : got == status);
}

/* The second request isolates the device: all its queues die, and no other device's. */
static void isolate(void)
{
	struct queue one = start("hisi_zip-4", 0), two = start("hisi_zip-4", 0), other = start("hisi_zip-5", 0);
	CHECK(number("hisi_zip-4", "isolate") == 0);
	good_request(&one, 0);
	submit_nonsense(&two, 1);
	await_death(&one);
	await_death(&two);
	CHECK(!arrived(&two));
	CHECK(number("hisi_zip-4", "isolate") == 1 && number("hisi_zip-5", "isolate") == 0);
	CHECK(node("hisi_zip-4") == -1 && errno == EPERM);
	/* what was prepared before is not started any more either */
	CHECK(ioctl(one.fd, PUT_Q) == 0);
	CHECK(ioctl(one.fd, START_Q) == -1 && errno == EPERM);
	good_request(&other, 0);
	release(&other);
	CHECK(close(one.fd) == 0 && close(two.fd) == 0);
}

/* The second open finds all queues taken, for a while; what was open works on. */
static void busy(void)
{
	struct queue q = prepare("hisi_zip-4", 0);
	CHECK(number("hisi_zip-4", "available_instances") > 0);
	CHECK(node("hisi_zip-4") == -1 && errno == EBUSY);
	CHECK(number("hisi_zip-4", "available_instances") == 0 && number("hisi_zip-5", "available_instances") > 0);
	CHECK(ioctl(q.fd, START_Q) == 0);
	good_request(&q, 0);
	int fd, refused = 0;
	while ((fd = node("hisi_zip-4")) < 0) {
		CHECK(errno == EBUSY && ++refused < 60000);
		pause_ms(1);
	}
	CHECK(number("hisi_zip-4", "available_instances") > 0);
	CHECK(close(fd) == 0);
	release(&q);
}

static void overflow(void)
{
	struct queue hit = start("hisi_zip-4", 0), other = start("hisi_zip-4", 0);
	submit_nonsense(&hit, 1);
	await_death(&hit);
	CHECK(!arrived(&hit));
	good_request(&other, 0);
	release(&other);
	CHECK(close(hit.fd) == 0);
}

static void page_fault(void)
{
	struct queue q = start("hisi_zip-4", 0);
	good_request(&q, -1);
	good_request(&q, 0);
	CHECK(tx(&q) == 0);
	release(&q);
}

/* Requests and completion doorbells until somebody kills us. */
static void *without_end(void *started)
{
	struct queue q = *(struct queue *)started;
	while (!tx(&q)) {
		int first = q.tail;
		for (int n = 0; n < 20; n++)
			submit_nonsense(&q, 0);
		ring_sq(&q);
		for (int n = 0; n < 20; n++)
			reap(&q, (first + n) % q.depth);
		ring_cq(&q, 0);
	}
	return NULL;
}

static void endless(void)
{
	const char *devices[] = { "hisi_zip-4", "hisi_zip-5", "hisi_hpre-2", "hisi_sec2-0" };
	static struct queue queues[4];
	for (int n = 0; n < 4; n++) {
		pthread_t thread;
		queues[n] = start(devices[n], 0);
		CHECK(pthread_create(&thread, NULL, without_end, &queues[n]) == 0);
	}
	printf("ready\n");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "isolate")) isolate();
	else if (!strcmp(what, "isolated")) CHECK(node("hisi_zip-4") == -1 && errno == EPERM && number("hisi_zip-4", "isolate") == 1);
	else if (!strcmp(what, "busy")) busy();
	else if (!strcmp(what, "overflow")) overflow();
	else if (!strcmp(what, "page-fault")) page_fault();
	else if (!strcmp(what, "endless")) endless();
	else CHECK(!"a known scenario");
	printf("ok\n");
	return 0;
}
