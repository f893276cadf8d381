# SPDX-License-Identifier: GPL-2.0-only
# The only makefile. `make help` lists the targets; V=1 shows the commands.

BUILD   := build
CC      := gcc
CLANG   := clang
BPFTOOL := bpftool
PREFIX  := /usr
DESTDIR :=
VERSION := 0.1.0

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter -Wno-missing-field-initializers
CFLAGS  ?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) -D_GNU_SOURCE -DRSIP_VERSION_TEXT='"$(VERSION)"' -Iinclude -Iuser -I$(BUILD) -MMD -MP
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Iinclude -Ivmlinux -MMD -MP

RSIPD_LIBS  := -lxdp -lbpf -lelf -lz -luv -lyaml -ljansson -lmnl -lmicrohttpd -lsystemd -lcares -lrocksdb -lsodium
RSIP_LIBS   := -lbpf -lelf -lz -luv -ljansson -lmnl -lsodium
RSIPCTL_LIBS := -lbpf -lelf -lz -ljansson -lncursesw -ltinfo

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' "$(1)" "$(2)")

# What a program is made of follows from the tree: user/<program>/*.c and user/lib/*.c.
objects  = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)))
LIB      := $(BUILD)/librsip-common.a
PROGRAMS := $(BUILD)/rsipd $(BUILD)/rsip $(BUILD)/rsipctl
SKELETONS := $(patsubst bpf/%.bpf.c,$(BUILD)/%.skel.h,$(wildcard bpf/*.bpf.c))

# Unit tests: one Criterion program per file. They link the daemon's and the
# host's modules from archives, so that a *_fake.c beside the tests can stand
# in for the module it is named after; what else is there without a test_ helps.
MODULES    := $(BUILD)/librsipd.a $(BUILD)/librsip.a $(LIB)
UNIT_HELP  := $(filter-out $(BUILD)/tests/unit/test_%,$(call objects,tests/unit/*.c))
UNIT_FAKES := $(call objects,tests/unit/*_fake.c)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
BPF_TESTS  := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bpf/test_*.c))
BPF_HELP   := $(call objects,tests/bpf/[!t]*.c)
BENCHES    := $(patsubst %.c,$(BUILD)/%,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))
REPLAYS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/replay/test_*.c))
REPLAY_HELP := $(patsubst %,$(BUILD)/tests/%.o,random replay/text unit/gateway unit/requests) $(UNIT_FAKES)
NETNS_HELP := $(BUILD)/tests/netns/model
FUZZERS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))

# Unit tests, scenarios and fuzz targets are built into $(SAN), by this makefile
# once more: with clang, the sanitizers, and what libFuzzer needs to see.
SAN        := $(BUILD)/san
SAN_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
sanitized   = $(MAKE) --no-print-directory -j$$(nproc) BUILD=$(SAN) CC=$(CLANG) CFLAGS='$(SAN_CFLAGS)'

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all deps test check check-asan check-bpf check-netns check-ipsec check-interop check-vm crash model fuzz unit-tests fuzzers bench benches demo lint format install deb conformance clean help

all: $(PROGRAMS)	## build the programs into build/

help:			## this list
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ { sub(/\t.*/, "", $$1); printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps:			## install what is missing (Debian packages); quick when nothing is
	$(Q)scripts/deps.sh

# --- programs -------------------------------------------------------------------

$(BUILD)/rsipd: $(call objects,user/rsipd/*.c) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(RSIPD_LIBS)

$(BUILD)/rsip: $(call objects,user/rsip/*.c) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(RSIP_LIBS)

$(BUILD)/rsipctl: $(call objects,user/rsipctl/*.c) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(RSIPCTL_LIBS)

$(LIB): $(call objects,user/lib/*.c)
$(BUILD)/librsipd.a: $(filter-out %/main.o,$(call objects,user/rsipd/*.c))
$(BUILD)/librsip.a: $(filter-out %/main.o,$(call objects,user/rsip/*.c))
$(BUILD)/%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c -o $@ $<

# --- BPF ------------------------------------------------------------------------

$(BUILD)/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -MT $@ -MF $(@:.o=.d) -c -o $@.tmp $< && llvm-strip -g $@.tmp && mv $@.tmp $@

# A benchmark has programs of its own, around those of bpf/.
$(BUILD)/tests/bench/%.bpf.o: tests/bench/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -Ibpf -MT $@ -MF $(@:.o=.d) -c -o $@ $<

$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@

# --- tests ----------------------------------------------------------------------

test: deps		## install what is missing, build, run every test this machine can run
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/built
	$(Q)+$(sanitized) unit-tests fuzzers
	$(Q)tests/run.sh

check: $(UNIT_TESTS) $(REPLAYS) $(FUZZERS:=.o)	## unit tests and scenarios: no root, no network
	$(Q)tests/run.sh unit replay

check-asan:		## unit tests and scenarios once more, under ASan and UBSan
	$(Q)+$(sanitized) unit-tests
	$(Q)tests/run.sh asan

fuzz:			## every fuzz target for FUZZ_SECONDS (600)
	$(Q)+$(sanitized) fuzzers
	$(Q)FUZZ_SECONDS=$${FUZZ_SECONDS:-600} tests/fuzz/test_fuzz.sh

check-bpf: $(BPF_TESTS)	## the XDP programs, packet in and packet out (root)
	$(Q)tests/run.sh bpf

check-netns: all $(NETNS_HELP)	## the real daemon in network namespaces (root)
	$(Q)tests/run.sh netns

check-ipsec: all	## real IPsec stacks through the gateway (root)
	$(Q)tests/run.sh ipsec

check-interop: all	## every cell of the matrix of IPsec stacks, into docs/interop.md; an hour (root)
	$(Q)rm -f $(BUILD)/tests/results/interop
	$(Q)MATRIX=all TEST_TIMEOUT=6000 tests/run.sh ipsec
	$(Q)scripts/interop.sh

check-vm: all $(BPF_TESTS)	## Debian 12's kernel in a virtual machine (root)
	$(Q)tests/run.sh vm

$(BUILD)/tests/built: $(UNIT_TESTS) $(REPLAYS) $(BPF_TESTS) $(NETNS_HELP)
	$(Q)touch $@

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(UNIT_HELP) $(MODULES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion $(RSIPD_LIBS)

# The journal itself: without its stand-in, and what needs that.
$(BUILD)/tests/unit/test_journal: $(BUILD)/tests/unit/test_journal.o $(MODULES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion $(RSIPD_LIBS)

$(BUILD)/tests/bpf/test_%: $(BUILD)/tests/bpf/test_%.o $(BPF_HELP) $(MODULES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion $(RSIPD_LIBS)

$(BUILD)/tests/replay/test_%: $(BUILD)/tests/replay/test_%.o $(REPLAY_HELP) $(MODULES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcriterion $(RSIPD_LIBS)

$(BUILD)/tests/netns/model: $(patsubst %,$(BUILD)/tests/%.o,netns/model model random unit/requests) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljansson

$(BUILD)/tests/replay/test_model: $(BUILD)/tests/model.o

unit-tests: $(UNIT_TESTS) $(REPLAYS)
fuzzers: $(FUZZERS)

$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/random.o $(UNIT_FAKES) $(MODULES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(RSIPD_LIBS)

# Reads packets as BPF does: with types of the kernel, and wherever a field stands.
$(BUILD)/tests/fuzz/fuzz_packet.o: ALL_CFLAGS += -Ivmlinux -fno-sanitize=alignment

# Performance: each tests/bench/*.c is a program; tests/bench/bench_*.sh run them.
bench:			## performance, side by side, into build/bench.json (root)
	$(Q)scripts/deps.sh bench
	$(Q)$(MAKE) --no-print-directory all benches
	$(Q)scripts/bench.sh

benches: $(BENCHES)

$(BUILD)/tests/bench/packets.o: $(BUILD)/tests/bench/packets.skel.h

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(MODULES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(RSIPD_LIBS)

crash: all		## rsipd killed at random moments under load, ROUNDS (300) times (root)
	$(Q)SHOW=1 ROUNDS=$${ROUNDS:-300} TEST_TIMEOUT=3600 tests/netns/test_crash.sh

model: all $(NETNS_HELP)	## random requests over a bad network against rsipd and a model, LONG (600) seconds (root)
	$(Q)SHOW=1 LONG=$${LONG:-600} TEST_TIMEOUT=$$(($${LONG:-600} + 120)) tests/netns/test_model.sh

demo: deps		## two IPsec hosts on one public address, side by side with NAT
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo.sh

conformance:		## which row of docs/conformance.md is covered by which test
	$(Q)scripts/conformance.sh

# --- the rest -------------------------------------------------------------------

lint:			## style, static checks, shell scripts, man pages
	$(Q)scripts/lint.sh

format:			## clang-format over the C code, tables left alone
	$(Q)scripts/format.sh

install: all		## install under DESTDIR/PREFIX
	$(Q)scripts/install.sh "$(BUILD)" "$(DESTDIR)" "$(PREFIX)"

deb: all		## a Debian package in build/
	$(Q)scripts/deb.sh "$(BUILD)" "$(VERSION)"

clean:			## remove build/
	$(Q)rm -rf $(BUILD)

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)
