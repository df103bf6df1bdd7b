# demilune. `make demo` shows it at work, `make check` tests it; both install what they need on Debian.

VERSION = 0.1.0

CC ?= gcc
CFLAGS ?= -O2 -g
LUA ?= lua5.4
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
DESTDIR ?=
LIBFLAG ?= -shared

# Where the parts go; luarocks sets each of these.
INST_BINDIR ?= $(PREFIX)/bin
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
INST_MANDIR ?= $(PREFIX)/share/man

# Deferred: the headers may only be there once `deps` has run.
LUA_INCDIR ?= $(patsubst -I%,%,$(firstword $(shell $(PKG_CONFIG) --cflags-only-I lua5.4 2>/dev/null) -I/usr/include/lua5.4))
# Linked in where they can be: each library that is not loaded saves a start 60 us and more.
LUA_LIBS ?= $(firstword $(wildcard /usr/lib/*/liblua5.4.a) -llua5.4) -lm
LIBS = $(firstword $(wildcard /usr/lib/*/libmd.a) -lmd)

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
           -Wold-style-definition -Wundef -Wwrite-strings -Wpointer-arith -Wvla
DML_CPPFLAGS = -D_GNU_SOURCE -DDML_VERSION='"$(VERSION)"' -I$(LUA_INCDIR) -iquote src -I$(BUILD)/gen
DML_CFLAGS = -std=gnu11 $(WARNINGS) -fvisibility=hidden -fPIC -fstack-protector-strong
HARDEN_LDFLAGS = -Wl,-z,relro,-z,now
# What is linked in stays ours: a host program may have functions of the same names.
CORE_LDFLAGS = -Wl,--exclude-libs,ALL

BUILD ?= build
LUADIR = $(BUILD)/share/lua/5.4
LIBDIR = $(BUILD)/lib/lua/5.4

COMMAND_ONLY = src/main.c src/lua_modules.c src/lua_memory.c src/lua_guard.c
GLUE = $(filter-out $(COMMAND_ONLY),$(wildcard src/lua_*.c))
STAGE_SOURCES = src/stage.c src/stage_parse.c
TRIAL_SOURCES = src/trial.c
ENGINE = $(filter-out src/lua_%.c src/main.c $(STAGE_SOURCES) $(TRIAL_SOURCES),$(wildcard src/*.c src/native/*.c))
HEADERS = $(wildcard src/*.h src/native/*.h)
OBJECTS = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(ENGINE) $(GLUE))
LUAFILES = $(shell find lua -name '*.lua')
MANPAGES = src/demilune.1 src/demilune.3 src/demilune-policy.5

STAGE = $(BUILD)/gen/stage
TRIAL = $(BUILD)/gen/trial
# What runs inside, the stage and what tries a policy's cases: static, without libc, a few KiB.
STAGE_CFLAGS = -std=gnu11 -Os $(WARNINGS) -ffreestanding -fno-stack-protector -fno-pic -fcf-protection=none \
               -fno-asynchronous-unwind-tables -static -nostdlib -Wl,--build-id=none \
               -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code -Wl,--gc-sections -s

CORE = $(LIBDIR)/demilune/core.so
COMMAND = $(BUILD)/bin/demilune
# The ancestor's name for `demilune sandbox`.
ANCESTOR = noether-sandbox

all: $(CORE) $(COMMAND) $(BUILD)/bin/$(ANCESTOR) $(BUILD)/share/lua/5.4

$(STAGE): $(STAGE_SOURCES) src/calls.h src/freestanding.h src/stage_message.h src/stage_parse.h Makefile
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(STAGE_CFLAGS) -o $@ $(STAGE_SOURCES)

$(TRIAL): $(TRIAL_SOURCES) src/calls.h src/freestanding.h Makefile
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(STAGE_CFLAGS) -o $@ $(TRIAL_SOURCES)

# Presets are read as files, by their names.
PACKED = $(filter-out lua/demilune/presets/%,$(LUAFILES))
$(BUILD)/gen/modules: src/pack.lua $(PACKED)
	@mkdir -p $(@D)
	@echo PACK $@
	@$(LUA) src/pack.lua $@ lua $(sort $(PACKED))

# A child beside us may outlive the thread that began it, and with that the guard of its stack.
$(BUILD)/obj/child.o $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/native/*.c)): LAST_CFLAGS = -fno-stack-protector

# The assembler's .incbin looks in build/gen.
$(BUILD)/obj/stage_image.o: $(STAGE) $(TRIAL)
$(BUILD)/obj/lua_modules.o: $(BUILD)/gen/modules
$(BUILD)/obj/stage_image.o $(BUILD)/obj/lua_modules.o: DML_CFLAGS += -Wa,-I$(BUILD)/gen

$(BUILD)/obj/%.o: src/%.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(DML_CPPFLAGS) $(CPPFLAGS) $(DML_CFLAGS) $(CFLAGS) $(LAST_CFLAGS) -c -o $@ $<

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	@echo LD $@
	@$(CC) $(LIBFLAG) $(HARDEN_LDFLAGS) $(CORE_LDFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LIBS)

$(COMMAND): $(OBJECTS) $(patsubst src/%.c,$(BUILD)/obj/%.o,$(COMMAND_ONLY))
	@mkdir -p $(@D)
	@echo LD $@
	@$(CC) -Wl,-E $(HARDEN_LDFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LUA_LIBS) $(LIBS)

$(BUILD)/bin/$(ANCESTOR): $(COMMAND)
	@ln -sfn $(<F) $@

# The build tree is laid out like an installation, so that the command finds its Lua files by one rule.
$(BUILD)/share/lua/5.4:
	@mkdir -p $(BUILD)/share/lua
	@ln -sfnr lua $@

# --- what a newcomer types --------------------------------------------------------------------------------------------

demo: deps
	@$(MAKE) --no-print-directory all
	@sh spec/examples/demo.sh

check: deps
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory lint
	@BUILD=$(BUILD) sh spec/support/check.sh

# Specs alone, or some of them: make test SPECS=spec/path_spec.lua
SPECS ?= spec
test: all
	@BUILD=$(BUILD) sh spec/support/check.sh $(SPECS)

# Measurements, in interleaved runs; or some of them: make bench BENCH=module ROUNDS=300
BENCH ?= launch module native steps host filter batch private explain
bench: all $(BUILD)/bench/driver $(BUILD)/bench/byhand.so $(BUILD)/bench/payload
	@for b in $(BENCH); do echo "--- $$b"; BUILD=$(BUILD) LUA_PATH="$(LUADIR)/?.lua;spec/?.lua;;" \
	    LUA_CPATH="$(LIBDIR)/?.so;;" $(LUA) spec/bench/$$b.lua || exit 1; done

$(BUILD)/bench/driver: spec/bench/driver.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(WARNINGS) -o $@ $<
$(BUILD)/bench/byhand.so: spec/bench/byhand.c
	@mkdir -p $(@D)
	@$(CC) -I$(LUA_INCDIR) $(CFLAGS) $(WARNINGS) -fPIC -shared -o $@ $<
$(BUILD)/bench/payload: spec/bench/payload.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(WARNINGS) -static -nostdlib -o $@ $<

DEBIAN_PACKAGES = gcc libc6-dev make pkg-config lua5.4 liblua5.4-dev libmd-dev lua-cjson lua-busted lua-filesystem git \
                  bubblewrap clang libclang-rt-dev clang-format cppcheck lua-check luarocks man-db python3 nodejs \
                  lua-luv lua-cqueues lua-socket prosody strace python3-venv xvfb x11-utils xauth perl \
                  $(if $(shell command -v npm),,npm)
deps:
	@sh spec/support/deps.sh $(DEBIAN_PACKAGES)

# --- lint --------------------------------------------------------------------------------------------------------------

C_FILES = $(wildcard src/*.c src/*.h src/native/*.[ch] spec/*/*.c spec/*/*.h)
LINT_FLAGS = $(DML_CPPFLAGS) $(DML_CFLAGS) -Wa,-I$(BUILD)/gen -Werror -c -o /dev/null

lint: $(STAGE) $(TRIAL) $(BUILD)/gen/modules
	@echo "lint: clang-format";  clang-format --dry-run -Werror $(C_FILES)
	@echo "lint: gcc";           for f in $(ENGINE) $(GLUE) $(COMMAND_ONLY); do gcc -O2 $(LINT_FLAGS) $$f || exit 1; done
	@echo "lint: clang";         for f in $(ENGINE) $(GLUE) $(COMMAND_ONLY); do clang -O2 $(LINT_FLAGS) $$f || exit 1; done
	@echo "lint: inside";        for c in gcc clang; do \
	                                 $$c $(STAGE_CFLAGS) -Werror -o /dev/null $(STAGE_SOURCES) && \
	                                 $$c $(STAGE_CFLAGS) -Werror -o /dev/null $(TRIAL_SOURCES) || exit 1; done
	@echo "lint: cppcheck";      cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr --enable=warning,performance,portability \
	                             --suppress=missingIncludeSystem -Isrc -D__x86_64__ src
	@echo "lint: luacheck";      luacheck --quiet lua spec
	@echo "lint: rockspecs";     for f in rockspec/*.rockspec; do luarocks --lua-version 5.4 lint $$f || exit 1; done
	@echo "lint: man pages";     for f in $(MANPAGES); do \
	    said=$$(LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l -Tutf8 -Z $$f 2>&1 >/dev/null); \
	    [ -z "$$said" ] || { echo "$$said"; exit 1; }; done

# --- deeper checks, each with a build of its own ------------------------------------------------------------------------

# Specs with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer in command and module. clang's, which writes
# every report where it is told to. The inner stage has no libc, and so no sanitizer. Each object of an arena gets a block
# of its own, so that it is seen where one ends; the module stays in memory, so that a leak has names.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DDML_ARENA_BLOCK=0
asan:
	@$(MAKE) -s CC=clang BUILD=build/asan CFLAGS="-O1 -g $(SANITIZE)" \
		LDFLAGS=-Wl,-z,nodelete sanitized test

# The specs' lua5.4: check.sh puts it on PATH.
sanitized: $(BUILD)/tools/lua5.4
$(BUILD)/tools/lua5.4: spec/support/interpreter.c
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) -I$(LUA_INCDIR) $(WARNINGS) $(CFLAGS) -Wl,-E -o $@ $< $(LUA_LIBS)

# libFuzzer over what reads from outside: make fuzz FUZZ_TARGETS="path text" FUZZ_SECONDS=600
FUZZ_TARGETS ?= $(patsubst spec/fuzz/%.c,%,$(wildcard spec/fuzz/*.c))
FUZZ_SECONDS ?= 20
fuzz:
	@$(MAKE) -s CC=clang BUILD=build/fuzz CFLAGS="-O1 -g $(SANITIZE) -fsanitize=fuzzer-no-link" \
		$(FUZZ_TARGETS:%=build/fuzz/bin/%)
	@BUILD=build/fuzz SECONDS_EACH=$(FUZZ_SECONDS) sh spec/fuzz/run.sh $(FUZZ_TARGETS)

FUZZED = $(OBJECTS) $(BUILD)/obj/stage_parse.o
$(BUILD)/bin/%: spec/fuzz/%.c $(wildcard spec/fuzz/*.h) $(FUZZED)
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(DML_CPPFLAGS) -std=gnu11 $(WARNINGS) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -Wl,-E -o $@ $< $(FUZZED) $(LUA_LIBS) $(LIBS)
$(BUILD)/bin/table: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=reallocarray,--wrap=strdup

# Lines of the engine and the glue that the specs run; after it `make uncovered`, or `make uncovered SHOW=src/host.c`, names
# those that they did not. The build is gcc's, for gcov. execve stays as it is: gcov would write its counts between clone
# and exec, in memory that is shared.
COUNTED = CFLAGS="-O0 -g --coverage -fno-builtin-execve -Wno-format-truncation"
coverage:
	@rm -rf build/coverage
	@status=0; $(MAKE) -s CC=gcc BUILD=build/coverage $(COUNTED) test || status=1; \
	$(LUA) spec/support/coverage.lua build/coverage/obj* && exit $$status

SHOW ?= all
uncovered:
	@SHOW=$(SHOW) $(LUA) spec/support/coverage.lua build/coverage/obj*

# --- installing --------------------------------------------------------------------------------------------------------

install: all
	install -d "$(DESTDIR)$(INST_BINDIR)" "$(DESTDIR)$(INST_LIBDIR)/demilune"
	install -m 755 $(COMMAND) "$(DESTDIR)$(INST_BINDIR)/demilune"
	ln -sfn demilune "$(DESTDIR)$(INST_BINDIR)/$(ANCESTOR)"
	install -m 755 $(CORE) "$(DESTDIR)$(INST_LIBDIR)/demilune/core.so"
	for f in $(LUAFILES:lua/%=%); do install -D -m 644 lua/$$f "$(DESTDIR)$(INST_LUADIR)/$$f" || exit 1; done
	for f in $(MANPAGES); do \
	    install -D -m 644 $$f "$(DESTDIR)$(INST_MANDIR)/man$${f##*.}/$${f##*/}" || exit 1; done

# What install put there, and of the directories those that are ours alone; what others left in these stays.
remove_empty = if [ -d $(1) ]; then rmdir --ignore-fail-on-non-empty $(1); fi
uninstall:
	rm -f "$(DESTDIR)$(INST_BINDIR)/demilune" "$(DESTDIR)$(INST_BINDIR)/$(ANCESTOR)"
	rm -f "$(DESTDIR)$(INST_LIBDIR)/demilune/core.so"
	for f in $(LUAFILES:lua/%=%); do rm -f "$(DESTDIR)$(INST_LUADIR)/$$f" || exit 1; done
	for f in $(MANPAGES); do rm -f "$(DESTDIR)$(INST_MANDIR)/man$${f##*.}/$${f##*/}" || exit 1; done
	for d in $$(dirname $(LUAFILES:lua/%=%) | sed '/^\.$$/d' | sort -ru); do \
	    $(call remove_empty,"$(DESTDIR)$(INST_LUADIR)/$$d"); done
	$(call remove_empty,"$(DESTDIR)$(INST_LIBDIR)/demilune")

clean:
	rm -rf $(BUILD)

.PHONY: all demo check test bench asan sanitized fuzz coverage uncovered deps lint install uninstall clean
