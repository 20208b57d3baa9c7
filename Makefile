# hark's one Makefile: `make` builds everything into build/, `make help` lists the habits.
#
# What has to be compiled in more than one way has a folder for each: build/obj (the command),
# build/shim (the preloaded library), build/pic (the public library), and for the tests
# build/testing, build/asan, build/tsan, build/cover and build/fuzz.

VERSION = 0.1.0

PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
CXXFLAGS ?= -O2 -g
CLANG    ?= clang
JOBS     ?= $(shell nproc)
FUZZ_SECONDS   ?= 60
STRESS_SECONDS ?= 2
SOAK_SECONDS   ?= 3600

# WERROR=1: a warning is an error, as it is in CI. V=1: show the commands.
WARNINGS = -Wall -Wextra -Wshadow -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wpointer-arith \
	-Wcast-align -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough \
	-Wconversion -Wno-sign-conversion $(if $(WERROR),-Werror)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DHARK_VERSION=\"$(VERSION)\" -I. $(WARNINGS) \
	$(CFLAGS) $(CPPFLAGS)
# As archives: nine libraries to load would cost each `hark run`, which starts twice, some hundred page
# faults, and 5 MiB of addresses. Names bound at once, for a child would bind each anew.
LIBS       = -l:libdw.a -l:libelf.a -liberty -l:libjansson.a -l:liblzma.a -l:libyaml.a -l:libz.a -l:libzstd.a
# libdw's tables are thousands of pointers: packed, they are read from one page instead of 27.
HARK_LDFLAGS = -Wl,-z,pack-relative-relocs -Wl,-z,now

# The shim lives in other people's programs: it shows nothing but the rows of hooks.def, no access
# to its TLS may allocate, and it calls no checked variant (__x_chk) that might be its own hook.
SHIM_CFLAGS = -fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-instrument-functions \
	-U_FORTIFY_SOURCE -fno-stack-protector -ffunction-sections -fdata-sections
SHIM_LDFLAGS = -shared -static-libgcc -Wl,-z,now -Wl,-z,defs -Wl,-z,nodelete -Wl,-z,relro \
	-Wl,--gc-sections -Wl,-soname,libhark-preload.so -Wl,--version-script=build/shim/exports.map \
	-Wl,--wrap=memcpy

# ---- sources and products -----------------------------------------------------------------------

# The core is linked as an archive, so that the shim holds only those files of it that it needs.
CORE_SRC = $(wildcard lib/base/*.c lib/ring/*.c lib/session/*.c lib/stamp/*.c) \
	$(addprefix lib/message/,infer.c candidates.c severity.c)
SHIM_SRC = $(wildcard shim/*.c)
SHIM_ASM = $(wildcard shim/*.S)
HARK_SRC = $(wildcard tools/*.c lib/*/*.c)
ALL_SRC  = $(wildcard tools/*.c lib/*.c lib/*/*.c)

HAVE_HARK    = $(wildcard tools/*.c)
HAVE_SHIM    = $(wildcard shim/hooks.def)
HAVE_LIBHARK = $(wildcard lib/hark.c)
PRODUCTS = $(if $(HAVE_HARK),build/hark build/man/hark.1 build/man/hark.7) \
	$(if $(HAVE_SHIM),build/libhark-preload.so) \
	$(if $(HAVE_LIBHARK),build/libhark.so build/libhark.a)
# The same with the named test points compiled in, for tests that stop or kill us there.
TESTING_PRODUCTS = $(if $(HAVE_HARK),build/testing/hark) \
	$(if $(HAVE_SHIM),build/testing/libhark-preload.so)

all: $(PRODUCTS) ## build everything into build/ (the default)

ifndef V
.SILENT:
say = @printf '  %-5s %s\n' $(1) $@
endif
COMPILE = mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
LINK    = mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $(filter %.o %.a,$^)
ARCHIVE = mkdir -p $(@D) && rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

build/obj/%.o: %.c Makefile
	$(call say,CC)
	$(COMPILE)
build/pic/%.o: %.c Makefile
	$(call say,CC)
	$(COMPILE) -fPIC -fvisibility=hidden
build/shim/%.o: %.c Makefile
	$(call say,CC)
	$(COMPILE) $(SHIM_CFLAGS)
build/shim/%.o: %.S Makefile
	$(call say,AS)
	$(COMPILE) $(SHIM_CFLAGS)
# What runs between a call of the program's and the function has to leave vector registers alone.
GENERAL = shim/plt.o shim/stamp_profile.o
ifneq ($(filter x86_64 aarch64,$(shell $(CC) -dumpmachine | cut -d- -f1)),)
$(foreach way,shim testing/shim,$(GENERAL:%=build/$(way)/%)): SHIM_CFLAGS += -mgeneral-regs-only
endif

# The page that it takes in whole.
$(foreach way,obj pic testing/obj asan/obj tsan/obj cover/obj fuzz/obj, \
	build/$(way)/lib/profile/export_flamegraph.o): lib/profile/flamegraph.html

build/pic/core.a: $(CORE_SRC:%.c=build/pic/%.o)
	$(ARCHIVE)
build/shim/core.a: $(CORE_SRC:%.c=build/shim/%.o)
	$(ARCHIVE)

build/hark: $(HARK_SRC:%.c=build/obj/%.o)
	$(call say,LINK)
	$(LINK) $(HARK_LDFLAGS) $(LIBS)

build/libhark-preload.so: $(SHIM_SRC:%.c=build/shim/%.o) $(SHIM_ASM:%.S=build/shim/%.o) \
		build/shim/core.a build/shim/exports.map
	$(call say,LINK)
	$(LINK) $(SHIM_LDFLAGS)

# Every row of hooks.def is a symbol that the shim exports, and what plt_loader.c has itself called by;
# it exports nothing else.
build/shim/exports.map: shim/hooks.def Makefile
	$(call say,GEN)
	mkdir -p $(@D)
	echo '{ global:' >$@.new
	$(CC) -E -P -undef -x c '-DHOOK(type, name, ...)=name;' '-DHOOK_ALIAS(name, ...)=name;' \
		-I. $< >>$@.new
	echo 'hark_shim_locked; local: *; };' >>$@.new
	mv $@.new $@

build/libhark.so: build/pic/lib/hark.o build/pic/core.a
	$(call say,LINK)
	echo '{ global: hark_*; local: *; };' >build/libhark.map
	$(LINK) -shared -Wl,-z,defs -Wl,-soname,libhark.so.0 -Wl,--version-script=build/libhark.map
	ln -sf libhark.so build/libhark.so.0

# One object that shows only hark_*, so that our short names never meet those of a user.
build/libhark.a: build/pic/lib/hark.o build/pic/core.a
	$(call say,AR)
	ld -r -o build/libhark.o $^
	objcopy --wildcard --keep-global-symbol='hark_*' build/libhark.o
	rm -f $@ && ar rcs $@ build/libhark.o

build/man/hark.%: build/hark
	$(call say,GEN)
	mkdir -p $(@D)
	build/hark show man$* >$@.new
	mv $@.new $@

# ---- test programs ------------------------------------------------------------------------------

# $(call variant,NAME,COMPILER,FLAGS,TESTS): in build/NAME, all our code as two archives; in TESTS,
# a program for each unit and stress test. libc comes before shim.a when they are linked, so that a
# test of the shim's inner functions gets those and not a hooked write().
define variant
build/$(1)/obj/%.o: %.c Makefile
	$$(call say,CC)
	mkdir -p $$(@D) && $(2) $$(ALL_CFLAGS) -DHARK_TESTPOINTS $(3) -MMD -MP -c -o $$@ $$<
build/$(1)/obj/%.o: %.S Makefile
	$$(call say,AS)
	mkdir -p $$(@D) && $(2) $$(ALL_CFLAGS) $(3) -MMD -MP -c -o $$@ $$<
build/$(1)/lib.a: $(ALL_SRC:%.c=build/$(1)/obj/%.o)
	$$(call say,AR)
	$$(ARCHIVE)
build/$(1)/shim.a: $(SHIM_SRC:%.c=build/$(1)/obj/%.o) $(SHIM_ASM:%.S=build/$(1)/obj/%.o)
	$$(call say,AR)
	$$(ARCHIVE)
$(4)/%: build/$(1)/obj/tests/%.o build/$(1)/lib.a build/$(1)/shim.a
	$$(call say,LINK)
	mkdir -p $$(@D) && $(2) $$(CFLAGS) $(3) -o $$@ $$< build/$(1)/lib.a \
		-lcmocka $$(LIBS) -lc build/$(1)/shim.a build/$(1)/lib.a
endef
ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
$(eval $(call variant,testing,$(CC),,build/tests))
$(eval $(call variant,asan,$(CC),$(ASAN),build/asan/tests))
$(eval $(call variant,tsan,$(CLANG),-fsanitize=thread,build/tsan/tests))
$(eval $(call variant,cover,$(CC),-O0 --coverage -fprofile-update=atomic,build/cover/tests))
$(eval $(call variant,fuzz,$(CLANG),$(ASAN) -fsanitize=fuzzer-no-link,build/fuzz/tests))

build/testing/shim/%.o: %.c Makefile
	$(call say,CC)
	$(COMPILE) $(SHIM_CFLAGS) -DHARK_TESTPOINTS
build/testing/shim/%.o: %.S Makefile
	$(call say,AS)
	$(COMPILE) $(SHIM_CFLAGS)
build/testing/hark: $(HARK_SRC:%.c=build/testing/obj/%.o)
	$(call say,LINK)
	$(LINK) $(HARK_LDFLAGS) $(LIBS)
build/testing/shim/core.a: $(CORE_SRC:%.c=build/testing/shim/%.o)
	$(ARCHIVE)
build/testing/libhark-preload.so: $(SHIM_SRC:%.c=build/testing/shim/%.o) \
		$(SHIM_ASM:%.S=build/testing/shim/%.o) \
		build/testing/shim/core.a build/shim/exports.map
	$(call say,LINK)
	$(LINK) $(SHIM_LDFLAGS)

UNIT   = $(patsubst %.c,%,$(wildcard tests/unit/test_*.c))
STRESS = $(patsubst %.c,%,$(wildcard tests/stress/test_*.c))
FUZZ   = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

# Guests are the programs that tests run under the shim, one from each source; they know nothing of
# hark. One that needs flags of its own says so in a line `/* cc: -static */` (`// cc: …` in C++).
# Sources in deeper folders are for the scripts beside them, which build them in several ways.
GUESTS_C  = $(patsubst %.c,build/%,$(wildcard tests/preload/*.c tests/e2e/*.c))
GUESTS_CC = $(patsubst %.cc,build/%,$(wildcard tests/preload/*.cc tests/e2e/*.cc))
GUEST_FLAGS = -I. -Wall -Wextra -pthread -MMD -MP -MF $@.d -MT $@ \
	$$(sed -n 's,^/[*/] cc: \([^*]*\).*,\1,p' $<)
$(GUESTS_C): build/%: %.c Makefile | $(if $(HAVE_LIBHARK),build/libhark.so)
	$(call say,CC)
	mkdir -p $(@D) && $(CC) -std=gnu11 -D_GNU_SOURCE $(CFLAGS) -o $@ $< $(GUEST_FLAGS)
$(GUESTS_CC): build/%: %.cc Makefile
	$(call say,CXX)
	mkdir -p $(@D) && $(CXX) $(CXXFLAGS) -o $@ $< $(GUEST_FLAGS)

# What tests compile when they run, they compile by this: it keeps the results in build/compiled.
build/tests/once: build/obj/tests/compile/once.o
	$(call say,LINK)
	$(LINK)

# The fuzz targets without a fuzzer, to go through the inputs that are kept.
build/tests/fuzz/replay_%: build/asan/obj/tests/fuzz/fuzz_%.o build/asan/obj/tests/fuzz/replay.o \
		build/asan/lib.a
	$(call say,LINK)
	$(LINK) $(ASAN) $(LIBS)
build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o build/fuzz/lib.a
	$(call say,LINK)
	$(CLANG) $(CFLAGS) $(ASAN) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# For aarch64, cross-compiled and run by qemu's user mode: the shim, the public library, and the unit
# tests of what needs libc alone. hark itself is compiled in part only, for it needs libelf and libyaml
# of that machine; it is native there. The headers that are lent name no machine.
A64       = aarch64-linux-gnu-
HAVE_A64  = $(and $(wildcard /usr/bin/$(A64)gcc),$(wildcard /usr/aarch64-linux-gnu/include/stdio.h), \
	$(wildcard /usr/bin/qemu-aarch64))
A64_REST  = $(wildcard lib/message/*.c lib/format/*.c)
# Not the holes: stopped and killed writers have time limits there that no emulator keeps.
A64_CORE_UNIT = $(filter-out %/test_ring_holes.c,$(wildcard tests/unit/test_ring*.c \
	$(patsubst lib/base/%.c,tests/unit/test_%.c,$(wildcard lib/base/*.c))))
A64_REST_UNIT = $(wildcard $(foreach s,$(A64_REST),tests/unit/test_$(notdir $s)))
A64_CORE_TESTS = $(A64_CORE_UNIT:%.c=build/aarch64/%)
A64_REST_TESTS = $(A64_REST_UNIT:%.c=build/aarch64/%)
A64_ALL   = $(A64_SHORT) $(A64_REST_TESTS)
A64_SHORT = build/aarch64/libhark-preload.so build/aarch64/testing/libhark-preload.so \
	build/aarch64/libhark.so $(A64_CORE_TESTS)
# Whatever else is asked for is asked for this machine.
build/aarch64/%: private override CC = $(A64)gcc
build/aarch64/%: private override AR = $(A64)ar
build/aarch64/%: private override CFLAGS = -O2 -g
build/aarch64/%: private override LDFLAGS =

build/aarch64/include/%.h: /usr/include/%.h
	mkdir -p $(@D) && cp $< $@
build/aarch64/shim/%.o: %.c Makefile
	$(call say,CC)
	$(COMPILE) $(SHIM_CFLAGS)
build/aarch64/shim/%.o: %.S Makefile
	$(call say,AS)
	$(COMPILE) $(SHIM_CFLAGS)
$(GENERAL:%=build/aarch64/shim/%): SHIM_CFLAGS += -mgeneral-regs-only
build/aarch64/obj/%.o: %.c Makefile | $(addprefix build/aarch64/include/,cmocka.h)
	$(call say,CC)
	$(COMPILE) -Ibuild/aarch64/include -DHARK_TESTPOINTS -fPIC
build/aarch64/core.a: $(CORE_SRC:%.c=build/aarch64/obj/%.o)
	$(ARCHIVE)
build/aarch64/rest.a: $(A64_REST:%.c=build/aarch64/obj/%.o)
	$(ARCHIVE)
build/aarch64/shim/core.a: $(CORE_SRC:%.c=build/aarch64/shim/%.o)
	$(ARCHIVE)
build/aarch64/libhark-preload.so: $(SHIM_SRC:%.c=build/aarch64/shim/%.o) \
		$(SHIM_ASM:%.S=build/aarch64/shim/%.o) build/aarch64/shim/core.a build/shim/exports.map
	$(call say,LINK)
	$(LINK) $(SHIM_LDFLAGS)
# With the test point `wipe_on_fork`, stamps are recorded in an emulator that forks without telling.
build/aarch64/testing/%.o: %.c Makefile
	$(call say,CC)
	$(COMPILE) $(SHIM_CFLAGS) -DHARK_TESTPOINTS
build/aarch64/testing/libhark-preload.so: build/aarch64/testing/shim/start.o \
		build/aarch64/testing/lib/base/testpoint.o build/aarch64/libhark-preload.so
	$(call say,LINK)
	mkdir -p $(@D) && $(CC) $(CFLAGS) -o $@ $(filter %.o,$^) \
		$(filter-out %/start.o,$(SHIM_SRC:%.c=build/aarch64/shim/%.o)) \
		$(SHIM_ASM:%.S=build/aarch64/shim/%.o) build/aarch64/shim/core.a $(SHIM_LDFLAGS)
build/aarch64/libhark.so: build/aarch64/shim/lib/hark.o build/aarch64/shim/core.a
	$(call say,LINK)
	$(LINK) -shared -Wl,-z,defs
$(A64_CORE_TESTS) $(A64_REST_TESTS): build/aarch64/%: build/aarch64/obj/%.o \
		build/aarch64/obj/tests/cross/cmocka.o build/aarch64/core.a
	$(call say,LINK)
	$(LINK) -pthread build/aarch64/core.a
$(A64_REST_TESTS): build/aarch64/rest.a

BENCHES = $(patsubst %.c,build/%,$(wildcard tests/bench/*.c))
build/bench.a: $(ALL_SRC:%.c=build/obj/%.o)
	$(ARCHIVE)
$(BENCHES): build/tests/bench/%: build/obj/tests/bench/%.o build/bench.a
	$(call say,LINK)
	$(LINK) $(HARK_LDFLAGS) $(LIBS)

# ---- habits -------------------------------------------------------------------------------------

RUN = env BUILD=$(CURDIR)/build STRESS_SECONDS=$(STRESS_SECONDS) tests/run -j $(JOBS)
UNIT_TESTS    = $(UNIT:%=build/%)
REPLAY_TESTS  = $(FUZZ:%=build/tests/fuzz/replay_%)
# Hostile hands on the memory of a live session, whose collector is of the sanitized build.
HANDS         = build/asan/tests/fuzz/test_hands
SCRIPT_TESTS  = $(foreach ext,sh py,$(wildcard tests/preload/test_*.$(ext) \
	tests/preload/*/test_*.$(ext) tests/cross/test_*.$(ext) \
	tests/e2e/test_*.$(ext) tests/e2e/*/test_*.$(ext)))
STRESS_TESTS  = $(STRESS:%=build/%) $(wildcard tests/stress/test_*.sh tests/stress/test_*.py)
CHECKS        = scripts/check-includes scripts/check-readme scripts/check-size scripts/check-exports \
	tests/traps.py
TESTS         = $(CHECKS) $(UNIT_TESTS) $(REPLAY_TESTS) $(HANDS) $(SCRIPT_TESTS) $(STRESS_TESTS)
TEST_PROGRAMS = $(PRODUCTS) $(TESTING_PRODUCTS) $(GUESTS_C) $(GUESTS_CC) build/tests/once \
	$(if $(HAVE_A64),$(A64_SHORT))

deps: ## install what a fresh Debian 12 lacks
	scripts/deps all

# EVERY=1: where cases are combinations, all of them (tests/tap.py).
export EVERY
check: $(TEST_PROGRAMS) $(filter build/%,$(TESTS)) ## run the tests; TESTS="…" names some of them
	find build/compiled -type f -mtime +14 -delete 2>/dev/null || : # what no test has asked for
	$(RUN) $(TESTS)

# Only the cases that tests/traps.txt names, and what came of them.
TRAPS = $(shell tests/traps.py --tests)
traps: $(TEST_PROGRAMS) $(filter build/%,$(TRAPS)) ## the cases that broke other tools, one by one
	TRAPS=1 $(RUN) --cases build/traps.cases $(TRAPS) || :
	tests/traps.py --verdicts build/traps.cases

cross: all $(if $(HAVE_A64),$(A64_ALL)) ## what can be tested of aarch64 on this machine
	EVERY=1 $(RUN) tests/cross/test_unit_aarch64.py tests/cross/test_calls_aarch64.py \
		tests/preload/test_surface_aarch64.py

asan: $(UNIT:%=build/asan/%) ## unit tests under AddressSanitizer and UBSan
	$(RUN) -t 180 $^

# Without address space randomisation, which some kernels do too well for this sanitizer.
NO_ASLR = $(if $(shell setarch -R true 2>&1 || echo no),,setarch -R)
tsan: $(UNIT:%=build/tsan/%) ## unit tests under ThreadSanitizer
	$(NO_ASLR) $(RUN) -t 300 $^

cover: $(UNIT:%=build/cover/%) ## what the unit tests reach, file by file
	find build/cover -name '*.gcda' -delete
	$(RUN) -t 180 $^
	scripts/cover build/cover/obj

fuzz: $(FUZZ:%=build/fuzz/fuzz_%) $(HANDS) ## each fuzz target for FUZZ_SECONDS
	scripts/fuzz $(FUZZ_SECONDS) $(FUZZ)
	env BUILD=$(CURDIR)/build STRESS_SECONDS=$(FUZZ_SECONDS) \
		tests/run -t $$(($(FUZZ_SECONDS) + 120)) $(HANDS)

stress: STRESS_SECONDS = 60
stress: ## the stress tests for STRESS_SECONDS each
stress: $(TEST_PROGRAMS) $(filter build/%,$(STRESS_TESTS))
	$(RUN) -t $$(($(STRESS_SECONDS) * 2 + 1800)) $(STRESS_TESTS)

soak: $(PRODUCTS) ## an hour (SOAK_SECONDS) of trouble, and a ledger of what was lost: nothing
	env SOAK_SECONDS=$(SOAK_SECONDS) $(RUN) -v -t $$(($(SOAK_SECONDS) * 2 + 600)) \
		tests/stress/test_soak.py

suites: $(PRODUCTS) ## test suites of others, with hark and without; SUITES="…" names some
	BUILD=$(CURDIR)/build tests/suites/run $(SUITES)

bench: $(PRODUCTS) $(BENCHES) ## measure
	set -e; for b in $(filter build/tests/bench/bench_%,$(BENCHES)) \
		$(wildcard tests/bench/bench_*.sh tests/bench/bench_*.py); do \
		echo "== $${b##*/}"; BUILD=$(CURDIR)/build $$b; done

demo: all ## a look at it
	scripts/demo

readme: all ## the tables of README.md and ARCHITECTURE.md, from the source
	scripts/check-readme --write
	tests/traps.py --write

C_FILES = $(wildcard lib/*.[ch] lib/*/*.[ch] shim/*.[ch] tools/*.[ch] tests/*/*.[ch] \
	tests/*/*/*.[ch])
OUR_SRC = $(wildcard lib/*.c lib/*/*.c shim/*.c tools/*.c)
LINTED  = $(OUR_SRC) $(wildcard tests/unit/*.c tests/stress/*.c tests/fuzz/*.c)
LINTS   = $(LINTED:%.c=build/lint/%.gcc) $(LINTED:%.c=build/lint/%.clang) \
	$(OUR_SRC:%.c=build/lint/%.tidy)
lint: $(LINTS) ## both compilers strictly, layout, clang-tidy, cppcheck
	scripts/check-format $(C_FILES)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=scripts/cppcheck.suppress --error-exitcode=1 -j $(JOBS) \
		-D_GNU_SOURCE -D__linux__ -D__x86_64__ -DHARK_VERSION='""' -I. $(OUR_SRC)
	echo clean

# Tests are built with the test points, always.
LINT_FLAGS = $(if $(filter tests/%,$<),-DHARK_TESTPOINTS)
build/lint/%.gcc: %.c Makefile
	$(call say,GCC)
	mkdir -p $(@D) && gcc $(ALL_CFLAGS) $(LINT_FLAGS) -Werror -MMD -MP -MF $@.d -MT $@ -c -o $@ $<
build/lint/%.clang: %.c Makefile
	$(call say,CLANG)
	mkdir -p $(@D) && $(CLANG) $(ALL_CFLAGS) $(LINT_FLAGS) -Werror -MMD -MP -MF $@.d -MT $@ -c -o $@ $<
build/lint/%.tidy: %.c build/lint/%.clang .clang-tidy
	$(call say,TIDY)
	clang-tidy --quiet $< -- $(ALL_CFLAGS) 2>$@.err || { cat $@.err; exit 1; }
	touch $@

BIN = $(DESTDIR)$(PREFIX)/bin
LIB = $(DESTDIR)$(PREFIX)/lib
MAN = $(DESTDIR)$(PREFIX)/share/man
install: all ## into PREFIX (/usr/local), below DESTDIR
	install -d $(BIN) $(LIB)/pkgconfig $(DESTDIR)$(PREFIX)/include $(MAN)/man1 $(MAN)/man7
	install -m 755 build/hark $(BIN)/hark
	install -m 755 build/libhark-preload.so $(LIB)/libhark-preload.so
	install -m 644 build/libhark.a $(LIB)/libhark.a
	install -m 755 build/libhark.so $(LIB)/libhark.so.$(VERSION)
	ln -sf libhark.so.$(VERSION) $(LIB)/libhark.so.0
	ln -sf libhark.so.0 $(LIB)/libhark.so
	install -m 644 lib/hark.h $(DESTDIR)$(PREFIX)/include/hark.h
	install -m 644 build/man/hark.1 $(MAN)/man1/hark.1
	install -m 644 build/man/hark.7 $(MAN)/man7/hark.7
	sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@VERSION@,$(VERSION),' scripts/hark.pc.in \
		>$(LIB)/pkgconfig/hark.pc
	chmod 644 $(LIB)/pkgconfig/hark.pc

clean: ## remove build/
	rm -rf build

help: ## this list
	sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

.PHONY: all deps check traps cross asan tsan cover fuzz stress soak suites bench demo readme lint \
	install clean help
.SECONDARY:
.DELETE_ON_ERROR:

-include $(shell find build -name '*.d' 2>/dev/null)
