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

# Deferred: the headers may only be there once `deps` has run.
LUA_INCDIR ?= $(shell $(PKG_CONFIG) --variable=includedir lua5.4 2>/dev/null || echo /usr/include/lua5.4)
LUA_LIBS ?= -llua5.4

WARNINGS = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
           -Wold-style-definition -Wundef -Wwrite-strings -Wpointer-arith -Wvla
DML_CPPFLAGS = -D_GNU_SOURCE -DDML_VERSION='"$(VERSION)"' -I$(LUA_INCDIR) -Isrc -I$(BUILD)/gen
DML_CFLAGS = -std=gnu11 $(WARNINGS) -fvisibility=hidden -fPIC -fstack-protector-strong
HARDEN_LDFLAGS = -Wl,-z,relro,-z,now

BUILD ?= build
LUADIR = $(BUILD)/share/lua/5.4
LIBDIR = $(BUILD)/lib/lua/5.4

GLUE = $(wildcard src/lua_*.c)
ENGINE = $(filter-out $(GLUE) src/main.c src/stage.c,$(wildcard src/*.c))
HEADERS = $(wildcard src/*.h)
OBJECTS = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(ENGINE) $(GLUE))
LUAFILES = $(shell find lua -name '*.lua')

CORE = $(LIBDIR)/demilune/core.so
COMMAND = $(BUILD)/bin/demilune

all: $(CORE) $(COMMAND) $(BUILD)/share/lua/5.4

$(BUILD)/obj/%.o: src/%.c $(HEADERS) Makefile
	@mkdir -p $(@D)
	$(CC) $(DML_CPPFLAGS) $(CPPFLAGS) $(DML_CFLAGS) $(CFLAGS) -c -o $@ $<

$(CORE): $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(HARDEN_LDFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS)

# The build tree is laid out like an installation, so that the command finds its Lua files by one rule.
$(BUILD)/share/lua/5.4:
	@mkdir -p $(BUILD)/share/lua
	ln -sfn $(abspath lua) $@

clean:
	rm -rf $(BUILD)

.PHONY: all clean
