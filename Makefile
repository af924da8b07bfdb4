# make          build/netc and build/libnet.a, every warning an error
# make deps     install what is missing (Debian 12; as root or through sudo)
# make demo     train LeNet with and without dropout on pictures drawn here
# make check    every test; ONLY="golden errors" picks suites,
#               SANITIZE=1 builds with ASan and UBSan, UPDATE=1 rewrites goldens
# make check-long   the campaigns too; make bench: timings beside peers;
#               PUBLISH=1 puts them into the README (40 minutes, a quiet machine)
# make runtime ARCH=aarch64   the runtime for executables of --cpu=aarch64
# make layers   who includes whom; make install PREFIX= DESTDIR=; make clean

CC          ?= gcc
LLVM_CONFIG ?= llvm-config-19
PYTHON      ?= python3
PREFIX      ?= /usr/local
BUILD       := $(if $(SANITIZE),build-san,build)

, := ,
WARN  := -Wall -Wextra -Wpedantic -Wconversion -Werror
FLAGS := -std=c11 -D_GNU_SOURCE -O2 -g -I. -I$(BUILD) -MMD -MP \
  $(if $(SANITIZE),-fsanitize=address$(,)undefined -fno-omit-frame-pointer) \
  $(if $(SANITIZE),-fno-sanitize-recover=undefined)
LIBS   = $(shell $(LLVM_CONFIG) --ldflags --link-shared --libs) \
  -ljansson -lpng -ljpeg -lz -lm -lpthread
PACKAGES := gcc make libc6-dev llvm-19-dev flex bison libcunit1-dev \
  libjansson-dev zlib1g-dev libpng-dev libjpeg-dev
# the long tests run executables for another processor, and build with clang
LONG     := clang-19 qemu-user gcc-aarch64-linux-gnu \
  $(addsuffix :arm64,libjansson-dev \
  zlib1g-dev libpng-dev libjpeg-dev)

# --- what is built from what ------------------------------------------------
GENERATED := $(patsubst %.y,$(BUILD)/%.c,$(wildcard frontend/*.y)) \
  $(patsubst %.l,$(BUILD)/%.c,$(wildcard frontend/*.l)) \
  $(patsubst frontend/%.net,$(BUILD)/%.c,$(wildcard frontend/prelude.net))
COMPILER := $(patsubst %.c,$(BUILD)/%.o, \
  $(wildcard ir/*.c frontend/*.c passes/*.c codegen/*.c)) $(GENERATED:.c=.o)
RUNTIME  := $(patsubst %.c,$(BUILD)/%.o,$(wildcard runtime/*.c))
TESTS    := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/*.c tests/*/*.c))

all: layers $(BUILD)/netc $(BUILD)/libnet.a

# Of two archives with a main() the linker takes the first one's.
$(BUILD)/netc: $(BUILD)/compiler.a $(BUILD)/runtime.a
	$(CC) $(FLAGS) -rdynamic -o $@ $^ $(LIBS) $(LDFLAGS)
$(BUILD)/check: $(TESTS) $(BUILD)/compiler.a $(BUILD)/runtime.a
	$(CC) $(FLAGS) -rdynamic -o $@ $^ -lcunit $(LIBS) $(LDFLAGS)
$(BUILD)/compiler.a: $(COMPILER)
$(BUILD)/runtime.a $(if $(SANITIZE),,$(BUILD)/libnet.a): $(RUNTIME)
%.a:
	@rm -f $@
	$(AR) rcs $@ $^
ifdef SANITIZE # executables that netc builds link the plain archive
$(BUILD)/libnet.a: $(wildcard runtime/*)
	$(MAKE) SANITIZE= BUILD=build build/libnet.a && cp build/libnet.a $@
endif

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(WARN) $(EXTRA) -c $< -o $@ $(CFLAGS)
$(GENERATED:.c=.o): %.o: %.c
	$(CC) $(FLAGS) $(filter-out -Wconversion,$(WARN)) -Wno-unused-function \
	  -Wno-unused-but-set-variable -c $< -o $@ $(CFLAGS)
$(RUNTIME): EXTRA = -ffunction-sections -fdata-sections -fPIC \
  -fno-asynchronous-unwind-tables
$(BUILD)/codegen/%.o: EXTRA = -isystem $(shell $(LLVM_CONFIG) --includedir)
$(BUILD)/tests/%.o: EXTRA = -DBUILD='"$(BUILD)"'
$(COMPILER): | $(GENERATED)

$(BUILD)/%.c: %.y
	@mkdir -p $(@D)
	bison -Werror --header=$(@:.c=.h) -o $@ $<
$(BUILD)/%.c: %.l
	@mkdir -p $(@D)
	flex --header-file=$(@:.c=.h) -o $@ $<
# what includes them waits for them
$(BUILD)/frontend/%.h: $(BUILD)/frontend/%.c ;
$(BUILD)/prelude.c: frontend/prelude.net
	@mkdir -p $(@D)
	{ echo 'extern const char frontend_prelude[];'; \
	  echo 'extern const unsigned frontend_prelude_size;'; \
	  echo 'const char frontend_prelude[] = {'; \
	  od -An -v -td1 $< | sed 's/ *\(-*[0-9][0-9]*\)/\1,/g'; echo '0};'; \
	  echo 'const unsigned frontend_prelude_size ='; \
	  echo '  sizeof frontend_prelude - 1;'; } > $@

# --- layers: what the files of a folder may include -------------------------
FOLDERS        := ir frontend passes codegen runtime
allow_ir       := ir/|runtime/philox\.h
allow_frontend := frontend/|ir/
allow_passes   := passes/|ir/
allow_codegen  := codegen/|ir/|runtime/net\.h|runtime/philox\.h
allow_runtime  := runtime/
layers:
	@for rule in $(foreach f,$(FOLDERS),'$f $(allow_$f)'); do \
	  set -- $$rule; grep -snE '^ *# *include +"' /dev/null $$1/* | \
	  grep -v '^codegen/driver' | grep -vE "include +\"($$2)" && \
	  { echo "make layers: $$1/ may include $$2 only"; exit 1; }; done; true

# --- what people call -------------------------------------------------------
deps:
	@missing=; for p in $(PACKAGES); do \
	  dpkg-query -Wf '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' \
	  || missing="$$missing $$p"; done; test -z "$$missing" && exit 0; \
	get="apt-get install -y --no-install-recommends$$missing"; \
	if [ "$$(id -u)" = 0 ]; then sudo=; \
	elif sudo -n true 2>/dev/null; then sudo=sudo; \
	else echo "please run: sudo $$get"; exit 1; fi; \
	$(if $(FOREIGN),$$sudo dpkg --add-architecture $(FOREIGN) &&) \
	$$sudo apt-get update && $$sudo env DEBIAN_FRONTEND=noninteractive $$get

demo: deps
	@$(MAKE) --no-print-directory all
	@sh tests/demo.sh $(BUILD)/netc
check: deps
	@$(MAKE) --no-print-directory all $(BUILD)/check
	@$(BUILD)/check $(ONLY)
check-long: PACKAGES += $(LONG)
check-long: FOREIGN = arm64
check-long: deps
	@$(MAKE) --no-print-directory all $(BUILD)/check
	@$(MAKE) --no-print-directory runtime ARCH=aarch64
	@$(MAKE) --no-print-directory CC=clang-19 SANITIZE= BUILD=build/clang \
	  all build/clang/check
	@NETC_LONG=1 $(BUILD)/check $(ONLY)
runtime: cross := $(subst -,_,$(ARCH))-linux-gnu-
runtime:
	@$(if $(ARCH),,echo 'make runtime: which ARCH=?' && false)
	@$(MAKE) --no-print-directory CC=$(cross)gcc AR=$(cross)ar SANITIZE= \
	  BUILD=build/$(ARCH) build/$(ARCH)/libnet.a
	@mkdir -p $(BUILD) && cp build/$(ARCH)/libnet.a $(BUILD)/libnet-$(ARCH).a
bench: all
	@$(PYTHON) tests/perf/bench.py --netc $(BUILD)/netc \
	  $(if $(PUBLISH),--fresh --urgent --publish)
install: all
	install -D -m 755 $(BUILD)/netc $(DESTDIR)$(PREFIX)/bin/netc
	install -d $(DESTDIR)$(PREFIX)/lib/netc
	install -m 644 $(BUILD)/libnet*.a $(DESTDIR)$(PREFIX)/lib/netc
clean:
	rm -rf build build-san

.PHONY: all layers deps demo check check-long runtime bench install clean
.DELETE_ON_ERROR:
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
