# The front door. `make run` builds and starts Culvert on a bare Debian 12; meson does the work.
PREFIX  ?= /usr/local
ARGS    ?=
FUZZ    ?= wire
SECONDS ?= 60

.NOTPARALLEL:
.PHONY: help run build test bench bench-tunnel bench-site bench-client bench-ways bench-tls install format fuzz clean

help:     ## this list
	@sed -n 's/^\([a-z-]*\): .*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: build  ## install what is missing, build a release, serve: make run ARGS="--config site.yaml"
	build/culvert serve $(ARGS)

build:    ## install what is missing and build a release: build/culvert
	@tools/install-deps.sh build
	@test -f build/build.ninja || \
	  meson setup build --buildtype=release -Db_ndebug=if-release -Dtests=false
	ninja -C build

test:     ## all tests, with sanitizers; ends with "N passed, N failed"
	@tools/install-deps.sh build test
	@tools/run-tests.sh

bench: build  ## measure beside the machine's limit and other servers: bench/RESULTS.md (25 min)
	@tools/install-deps.sh build bench
	bench/run.sh fast $(ARGS)

bench-tunnel: build  ## the same for RTMPT beside RTMP (as root: it makes networks of its own)
	@tools/install-deps.sh build test
	bench/run.sh tunnel $(ARGS)

bench-site: build  ## the same for the site behind Culvert, beside nginx
	@tools/install-deps.sh build test bench
	bench/run.sh site $(ARGS)

bench-client: build  ## what the relay, and RTMPT in our own client, add and cost (as root)
	@tools/install-deps.sh build test
	bench/run.sh client $(ARGS)

bench-ways: build  ## how soon a client is through firewalls and proxies (as root, in namespaces)
	@tools/install-deps.sh build test
	bench/run.sh ways $(ARGS)

bench-tls: build  ## what TLS costs the server, beside plain RTMP and beside OpenSSL itself
	@tools/install-deps.sh build test
	bench/run.sh tls $(ARGS)

install: build  ## make install PREFIX=/usr/local
	meson configure build --prefix=$(PREFIX)
	meson install -C build

format:   ## lay out all C files by .clang-format
	find src include examples test bench -name '*.[ch]' 2>/dev/null | xargs clang-format -i

fuzz:     ## make fuzz FUZZ=wire SECONDS=60
	@tools/install-deps.sh build test
	@test -f build-fuzz/build.ninja || \
	  CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
	ninja -C build-fuzz test/fuzz/fuzz_$(FUZZ)
	mkdir -p build-fuzz/corpus/$(FUZZ)
	build-fuzz/test/fuzz/fuzz_$(FUZZ) -max_total_time=$(SECONDS) -timeout=10 \
	  -artifact_prefix=build-fuzz/ build-fuzz/corpus/$(FUZZ) test/corpus/$(FUZZ)

clean:    ## remove the builds
	rm -rf build build-asan build-tsan build-fuzz
