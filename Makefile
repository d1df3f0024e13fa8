# The front door. `make help` lists what is here; ci/ holds one short script per job.

CARGO       ?= cargo
PREFIX      ?= /usr/local
SYSCONFDIR  ?= /etc
DESTDIR     ?=
OPENSSL     ?= openssl
# Where this machine's libcrypto looks for provider modules.
MODULESDIR  ?= $(shell $(OPENSSL) version -m 2>/dev/null | sed -n 's/.*"\(.*\)".*/\1/p')
TARGET      := $(or $(CARGO_TARGET_DIR),target)
RELEASE     := $(TARGET)/release
LIBDIR      := $(PREFIX)/lib/warpdrive

.PHONY: help build release demo test test-random lint unit outer bench bench-zlib bench-gate bench-saving bench-model bench-queue bench-stats loom cross-check fuzz-smoke model-chaos chaos asan install uninstall clean

help:
	@echo 'make demo         set up, build, and show the main job on the device model and without a device'
	@echo 'make test         set up, lint, and run every test'
	@echo 'make test-random  property tests with fresh seeds and ten times the cases; prints the seed'
	@echo 'make zlib-differential  24 million random zlib calls beside the system zlib (fixed seeds; hours on two cores)'
	@echo 'make test-programs  jar and pg_dump with the zlib library (a JDK and a PostgreSQL server)'
	@echo 'make bench        paired measurements against the alternatives (ratios with medians)'
	@echo 'make bench-zlib   zlib in software against Debian zlib, zlib-ng, zlib-rs and libdeflate, cell by cell'
	@echo 'make bench-gate   the offload decision on virtual time, and graphs of it'
	@echo 'make bench-saving what policy save-cpu saves: processor time of the caller, against zlib'
	@echo 'make bench-model  what the device model itself costs: a doorbell trap, an empty request'
	@echo 'make bench-queue  the queue path against a plain C loop, several threads on two queues, instructions'
	@echo 'make loom         model check of the protocols that threads share without locks'
	@echo 'make bench-stats  what a count costs, and asking the off switch'
	@echo 'make cross-check  build for aarch64 and run a smoke under qemu-user'
	@echo 'make fuzz-smoke   each fuzz target for a minute (needs a nightly toolchain and cargo-fuzz)'
	@echo 'make chaos        ten minutes of zlib and OpenSSL work on devices that fail in every way'
	@echo 'make asan         core tests and a minute of chaos under AddressSanitizer'
	@echo 'make model-chaos  a million random requests with random faults on the device model'
	@echo 'make install      install the release build; honours DESTDIR, PREFIX, SYSCONFDIR, MODULESDIR'
	@echo 'make uninstall    remove what install put there'
	@echo 'make clean        remove build output'

build:
	$(CARGO) build --workspace --locked

release:
	ci/install build
	$(CARGO) build --workspace --locked --release
	zlib-shim/relink.sh $(RELEASE)/libwarpdrive_z.a $(RELEASE)/drop-in/libz.so.1

demo:
	ci/install demo
	$(CARGO) build --workspace --locked --release
	ci/demo $(RELEASE)

test:
	ci/install test
	ci/test

# ROUNDS and SEED in the environment: how many seeds, and the first of them.
test-random:
	ci/install test
	ci/test-random $(or $(ROUNDS),3) $(SEED)

.PHONY: zlib-differential test-programs

# Programs that need large packages.
test-programs:
	ci/install programs
	$(CARGO) build --workspace --locked
	$(CARGO) test --locked -p warpdrive-cli --test zlib_tools -- --ignored

# ZLIB_CALLS, ZLIB_MODEL_CALLS and ZLIB_SEED in the environment change length and seeds.
zlib-differential:
	ci/install test
	$(CARGO) build --locked --release -p warpdrive-zlib -p warpdrive-device-model
	ZLIB_CALLS=$${ZLIB_CALLS:-24000000} ZLIB_MODEL_CALLS=$${ZLIB_MODEL_CALLS:-100000} \
		$(CARGO) test --locked --release -p warpdrive-zlib --test calls --test huge -- --nocapture --include-ignored

lint:
	ci/lint

bench: release
	ci/bench

# ARGS: --rounds N, --bytes N, --only WORD (cells whose name has it).
bench-zlib:
	ci/install bench
	$(CARGO) build --locked --release -p warpdrive-zlib
	$(CARGO) build --locked --release -p warpdrive-bench --features zlib-ng
	ci/bench-zlib $(ARGS)

bench-gate:
	ci/install build
	$(CARGO) bench --locked -p warpdrive-bench --bench gate

bench-saving:
	ci/install bench
	$(CARGO) build --locked --release -p warpdrive-zlib -p warpdrive-device-model -p warpdrive-bench
	ci/bench-saving

bench-model:
	ci/install build
	$(CARGO) build --locked --release -p warpdrive-device-model -p warpdrive-bench
	LD_PRELOAD=$(abspath $(RELEASE))/libwarpdrive_device_model.so $(RELEASE)/warpdrive-bench-model

bench-queue:
	ci/install build
	$(CARGO) build --locked --release -p warpdrive-bench --bin warpdrive-bench-queue
	ci/bench-queue

loom:
	ci/loom

bench-stats:
	ci/install build
	$(CARGO) build --locked --release -p warpdrive-bench --bin warpdrive-bench-stats
	directory=$$(mktemp -d) && WARPDRIVE_STATS_DIR=$$directory $(RELEASE)/warpdrive-bench-stats; rm -r $$directory

cross-check:
	ci/install cross
	ci/cross

fuzz-smoke:
	ci/fuzz-smoke

# WARPDRIVE_CHAOS_REQUESTS and WARPDRIVE_CHAOS_SEED in the environment change the length and the dice.
model-chaos:
	WARPDRIVE_CHAOS_REQUESTS=$${WARPDRIVE_CHAOS_REQUESTS:-1000000} \
		$(CARGO) test --locked -p warpdrive-device-model --test chaos -- --nocapture

# CHAOS_SECONDS and CHAOS_SEED in the environment change the length and the dice.
chaos:
	ci/install test
	$(CARGO) build --workspace --locked
	$(TARGET)/debug/warpdrive-chaos

asan:
	ci/install test
	ci/asan

install: release
	@test -n '$(MODULESDIR)' || { echo "cannot ask '$(OPENSSL) version -m' where provider modules go: set MODULESDIR" >&2; exit 1; }
	install -D -m 755 $(RELEASE)/warpdrive '$(DESTDIR)$(PREFIX)/bin/warpdrive'
	install -D -m 644 $(RELEASE)/libwarpdrive_z.so '$(DESTDIR)$(LIBDIR)/libwarpdrive_z.so'
	install -D -m 644 $(RELEASE)/drop-in/libz.so.1 '$(DESTDIR)$(LIBDIR)/libz/libz.so.1'
	ln -sfn libz.so.1 '$(DESTDIR)$(LIBDIR)/libz/libz.so'
	mkdir -p '$(DESTDIR)$(LIBDIR)/libz/pkgconfig'
	sed 's|@LIBDIR@|$(LIBDIR)|' packaging/zlib.pc.in >'$(DESTDIR)$(LIBDIR)/libz/pkgconfig/zlib.pc'
	install -D -m 644 $(RELEASE)/libwarpdrive_device_model.so '$(DESTDIR)$(LIBDIR)/libwarpdrive_device_model.so'
	install -D -m 644 $(RELEASE)/libwarpdrive_provider.so '$(DESTDIR)$(MODULESDIR)/warpdrive.so'
	ln -sfn '$(MODULESDIR)/warpdrive.so' '$(DESTDIR)$(LIBDIR)/libwarpdrive_provider.so'
	install -D -m 644 packaging/openssl-warpdrive.cnf '$(DESTDIR)$(PREFIX)/share/warpdrive/openssl-warpdrive.cnf'
	install -D -m 644 packaging/60-warpdrive.rules '$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-warpdrive.rules'
	install -D -m 644 packaging/warpdrive.tmpfiles '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/warpdrive.conf'
	test -e '$(DESTDIR)$(SYSCONFDIR)/warpdrive.conf' || install -D -m 644 packaging/warpdrive.conf '$(DESTDIR)$(SYSCONFDIR)/warpdrive.conf'

uninstall:
	@test -n '$(MODULESDIR)' || { echo "set MODULESDIR" >&2; exit 1; }
	rm -f '$(DESTDIR)$(PREFIX)/bin/warpdrive' '$(DESTDIR)$(MODULESDIR)/warpdrive.so'
	rm -f '$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-warpdrive.rules' '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/warpdrive.conf'
	rm -rf '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(PREFIX)/share/warpdrive'

clean:
	$(CARGO) clean
	rm -rf target-cross
