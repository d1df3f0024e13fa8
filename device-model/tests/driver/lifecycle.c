/* Devices that go, come, are reset and isolated while programs use them. The command that does it is TOOL. */
#include "queue.h"
#include <glob.h>
#include <setjmp.h>

#define FAILS(call, error) do { errno = 0; CHECK((call) == -1); CHECK(errno == (error)); } while (0)

static void tool(const char *command)
{
	char line[PATH_MAX + 100];
	snprintf(line, sizeof line, "env -u LD_PRELOAD %s %s", getenv("TOOL"), command);
	CHECK(system(line) == 0);
}

static sigjmp_buf back;
static volatile int signals[2];
static void on_fault(int sig) { signals[sig == SIGBUS]++; siglongjmp(back, 1); }

static int bus(volatile uint8_t *at, int store)
{
	signals[0] = signals[1] = 0;
	if (!sigsetjmp(back, 1)) {
		if (store)
			*(volatile uint64_t *)at = 0;
		else
			(void)*at;
	}
	return signals[1] == 1 && signals[0] == 0;
}

static int listed(const char *directory, const char *name)
{
	DIR *dir = opendir(directory);
	int found = 0;
	CHECK(dir);
	for (struct dirent *e; (e = readdir(dir));)
		found += !strcmp(e->d_name, name);
	closedir(dir);
	return found;
}

static void check_gone(struct queue *q, const char *device, int old)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "/sys/class/uacce/%s", device);
	CHECK(!listed("/sys/class/uacce", device) && !listed("/dev", device));
	CHECK(access(path, F_OK) == -1 && errno == ENOENT);
	snprintf(path, sizeof path, "/dev/%s", device);
	struct stat st;
	CHECK(stat(path, &st) == -1 && errno == ENOENT);
	CHECK(open(path, O_RDWR) == -1 && errno == ENOENT);
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	CHECK(bus(q->dus, 0) && bus(q->dus + q->dus_size - 8, 0) && bus(q->dus, 1));
	CHECK(bus(q->mmio + 0x1000, 0) && bus(q->mmio + 0x1000, 1) && bus(q->mmio + 0x1000, 1));
	struct qp_ctx ctx = { 0 };
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	if (old) {
		CHECK(ioctl(q->fd, QM_CTX, &ctx) == 0 && ioctl(q->fd, PUT_Q) == 0);
		CHECK(mmap(NULL, q->mmio_size, PROT_READ, MAP_SHARED, q->fd, 0) == MAP_FAILED && errno == EINVAL);
	} else {
		FAILS(ioctl(q->fd, PUT_Q), ENXIO);
		FAILS(ioctl(q->fd, QM_CTX, &ctx), ENXIO);
		CHECK(mmap(NULL, q->mmio_size, PROT_READ, MAP_SHARED, q->fd, 0) == MAP_FAILED && errno == ENXIO);
	}
	CHECK(poll(&p, 1, 10) == 0 && p.revents == 0);
	CHECK(munmap(q->dus, q->dus_size) == 0 && munmap(q->mmio, q->mmio_size) == 0 && close(q->fd) == 0);
}

/* By command, with queues open in two processes and requests in flight. */
static void removal(const char *device, int old)
{
	char command[100];
	int ready[2], go[2];
	char byte = 0;
	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	pid_t child = fork();
	if (!child) {
		struct queue q = start(device, 0);
		submit_nonsense(&q, 1);
		reap(&q, 0);
		CHECK(write(ready[1], &byte, 1) == 1 && read(go[0], &byte, 1) == 1);
		check_gone(&q, device, old);
		_exit(0);
	}
	struct queue q = start(device, 0), other = start("hisi_sec2-0", 0), idle = prepare(device, 0);
	struct stat before, after;
	submit_nonsense(&q, 1);
	CHECK(read(ready[0], &byte, 1) == 1 && fstat(q.fd, &before) == 0);
	snprintf(command, sizeof command, "remove %s", device);
	tool(command);
	/* an open descriptor stays what it was */
	CHECK(fstat(q.fd, &after) == 0 && before.st_dev == after.st_dev && before.st_ino == after.st_ino);
	CHECK(S_ISCHR(after.st_mode) && before.st_rdev == after.st_rdev);
	check_gone(&q, device, old);
	check_gone(&idle, device, old);
	int status;
	CHECK(write(go[1], &byte, 1) == 1 && waitpid(child, &status, 0) == child && status == 0);
	submit_nonsense(&other, 1);
	reap(&other, 0);
	release(&other);
	/* and back again, as new */
	snprintf(command, sizeof command, "add %s", device);
	tool(command);
	CHECK(listed("/sys/class/uacce", device) && listed("/dev", device));
	long queues = number(device, "available_instances");
	q = start(device, 0);
	CHECK(number(device, "available_instances") == queues - 1 && tx(&q) == 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	release(&q);
}

/* A node that nobody takes away. */
static void static_node(const char *device)
{
	char command[100], path[PATH_MAX];
	snprintf(command, sizeof command, "remove %s keep-node", device);
	tool(command);
	snprintf(path, sizeof path, "/dev/%s", device);
	CHECK(!listed("/sys/class/uacce", device) && listed("/dev", device));
	FAILS(open(path, O_RDWR | O_CLOEXEC), ENODEV);
}

/* The second request removes the device (fault plan). */
static void planned(const char *device)
{
	struct queue q = start(device, 0), second = start(device, 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	submit_nonsense(&second, 1);
	for (int n = 0; n < 60000 && listed("/dev", device); n++)
		pause_ms(1);
	struct qp_ctx ctx;
	for (int n = 0; n < 60000 && ioctl(q.fd, QM_CTX, &ctx) == 0; n++)
		pause_ms(1);
	for (int n = 0; n < 60000 && ioctl(second.fd, QM_CTX, &ctx) == 0; n++)
		pause_ms(1);
	pause_ms(50);
	check_gone(&q, device, 0);
	check_gone(&second, device, 0);
}

static void late(const char *device)
{
	/* a second kind is there from the start; this one is not */
	CHECK(!listed("/sys/class/uacce", device) && listed("/sys/class/uacce", "hisi_sec2-0"));
	char path[PATH_MAX];
	snprintf(path, sizeof path, "/dev/%s", device);
	FAILS(open(path, O_RDWR), ENOENT);
	for (int n = 0; n < 60000 && !listed("/sys/class/uacce", device); n++)
		pause_ms(1);
	struct queue q = start(device, 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
	release(&q);
	CHECK(listed("/dev", device));
}

static void late_by_command(const char *device)
{
	char command[100];
	CHECK(!listed("/sys/class/uacce", device));
	snprintf(command, sizeof command, "add %s", device);
	tool(command);
	CHECK(listed("/sys/class/uacce", device));
	struct queue q = start(device, 0);
	release(&q);
}

/* Reset words show at once wherever a queue is open, rung or not, started or not. */
static void reset(const char *device)
{
	char command[100];
	struct queue quiet = start(device, 0), idle = prepare(device, 0), other = start("hisi_zip-5", 0);
	snprintf(command, sizeof command, "reset %s 600000", device);
	tool(command);
	CHECK(tx(&quiet) == 1 && tx(&idle) == 1 && rx(&idle) == 1);
	for (int n = 0; n < 60000 && !rx(&quiet); n++)
		pause_ms(1);
	CHECK(rx(&quiet) == 1 && tx(&other) == 0);
	FAILS(ioctl(idle.fd, START_Q), EPERM);
	char path[PATH_MAX];
	snprintf(path, sizeof path, "/dev/%s", device);
	FAILS(open(path, O_RDWR), EPERM);
	submit_nonsense(&quiet, 1);
	pause_ms(20);
	CHECK(!arrived(&quiet));
	CHECK(ioctl(quiet.fd, PUT_Q) == 0 && close(quiet.fd) == 0 && close(idle.fd) == 0);
	snprintf(command, sizeof command, "add %s", device);
	tool(command);
	struct queue q = start(device, 0);
	CHECK(tx(&q) == 0 && rx(&q) == 0);
	submit_nonsense(&q, 1);
	reap(&q, 0);
}

/* isolate_strategy: what it takes, and that errors within the hour isolate. */
static void strategy(const char *device, int kae)
{
	char path[PATH_MAX], command[PATH_MAX + 100], text[16] = { 0 };
	snprintf(path, sizeof path, "/sys/class/uacce/%s/isolate_strategy", device);
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0 && read(fd, text, sizeof text) == 2 && !strcmp(text, "0\n"));
	FAILS(write(fd, "many", 4), EINVAL);
	FAILS(write(fd, "65536", 5), EINVAL);
	FAILS(write(fd, "-1", 2), EINVAL);
	FAILS(write(fd, "", 0), EINVAL);
	errno = EDOM;
	CHECK(write(fd, "0x10\n", 5) == 5 && errno == EDOM && number(device, "isolate_strategy") == 16);
	CHECK(write(fd, "65535", 5) == 5 && number(device, "isolate_strategy") == 65535);
	CHECK(close(fd) == 0);
	FILE *file = fopen(path, "w");
	CHECK(file && fprintf(file, "seven") == 5 && fclose(file) == EOF && errno == EINVAL);
	file = fopen(path, "w");
	CHECK(file && fprintf(file, "2\n") == 2 && fclose(file) == 0 && number(device, "isolate_strategy") == 2);
	snprintf(command, sizeof command, "echo 2 > %s", path);
	CHECK(system(command) == 0);
	snprintf(command, sizeof command, "echo 2 > /sys/class/uacce/%s/isolate 2> /dev/null", device);
	CHECK(system(command) != 0);
	/* while a queue is open */
	struct queue q = start(device, 0);
	fd = open(path, O_WRONLY);
	if (kae)
		FAILS(write(fd, "2", 1), EBUSY);
	else
		CHECK(write(fd, "2", 1) == 1);
	release(&q);
	CHECK(write(fd, "2", 1) == 1);
	snprintf(command, sizeof command, "reset %s 1", device);
	for (int n = 0; n < 2; n++) {
		tool(command);
		CHECK(number(device, "isolate") == 0);
	}
	CHECK(write(fd, "2", 1) == 1);                       /* clears the history */
	for (int n = 0; n < 2; n++) {
		tool(command);
		CHECK(number(device, "isolate") == 0);
	}
	tool(command);
	CHECK(number(device, "isolate") == 1);
	FAILS(write(fd, "2", 1), EPERM);
	if (kae)
		CHECK(number(device, "dev_state") == 1);
	snprintf(path, sizeof path, "/dev/%s", device);
	FAILS(open(path, O_RDWR), EPERM);
	CHECK(number("hisi_zip-5", "isolate") == 0);
}

int main(int argc, char **argv)
{
	CHECK(argc >= 2);
	const char *what = argv[1], *device = "hisi_zip-4";
	if (!strcmp(what, "removal")) removal(device, 0);
	else if (!strcmp(what, "removal-old")) removal(device, 1);
	else if (!strcmp(what, "static-node")) static_node(device);
	else if (!strcmp(what, "planned")) planned(device);
	else if (!strcmp(what, "late")) late(device);
	else if (!strcmp(what, "late-by-command")) late_by_command(device);
	else if (!strcmp(what, "reset")) reset(device);
	else if (!strcmp(what, "strategy")) strategy(device, 0);
	else if (!strcmp(what, "strategy-kae")) strategy(device, 1);
	else CHECK(!"a known scenario");
	printf("ok\n");
	return 0;
}
