# SPDX-License-Identifier: MIT
# make demo   run the main job on the emulated board
# make test   run everything that decides whether the project is whole
# make test-labs   run what needs a LAVA server, which is built and started for it; needs root
# make lava-lab   start such a server, to be used by hand
# make test-quick   run the tests that need neither a board nor a guest nor a server
# All install what they need: Debian packages (as root, or they say which), and a .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STATE := $(or $(LAVA_VMGROUP_CACHE),$(HOME)/.cache/lava-vmgroup)
BOARD := $(STATE)/boards/demo
LAVA := $(STATE)/debian
BOARD_PY := examples/emulated-board/board.py
COMMA := ,

DEMO_PACKAGES := ca-certificates debian-archive-keyring e2fsprogs fdisk kmod mtools python3-venv \
	qemu-system-arm qemu-utils u-boot-qemu zstd
TEST_PACKAGES := $(DEMO_PACKAGES) android-sdk-libsparse-utils btrfs-progs busybox bzip2 dosfstools \
	dropbear-bin erofs-utils f2fs-tools faketime file fish genisoimage git iproute2 iputils-ping ksh93u+m \
	lava-coordinator libnss-wrapper lz4 mksh openssh-client openssh-server shellcheck squashfs-tools tcsh \
	xfsprogs xz-utils yash zsh
LAB_PACKAGES := mmdebstrap iproute2 microcom socat

# Else each of the programs that tests start would compile the whole package.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-quick test-labs lava-lab lab lint reference docs images lava-packages clean demo-packages \
	test-packages lab-packages

demo: demo-packages $(VENV)/.installed images
	@test ! -e $(BOARD) || $(PYTHON) $(BOARD_PY) destroy $(BOARD)
	@$(PYTHON) $(BOARD_PY) create $(BOARD)
	$(BIN)/lava-dispatch --config-dir $(BOARD)/config --output-dir results/demo \
		examples/vm-group/job.json

test: test-packages $(VENV)/.installed-test
	@$(MAKE) --no-print-directory --jobs 2 lint images lava-packages docs
	$(BIN)/pytest -n 6 --dist load --durations 12

LAB := $(STATE)/lava-lab
LABGRID := $(STATE)/lava-lab/labgrid
LAB_STATE := $(STATE)/lava-lab/state

lab: lab-packages test-packages $(VENV)/.installed-test images
	@tests/lava_lab/build.sh "$(LAB)/sid" sid
	@test -x "$(LABGRID)/bin/labgrid-client" || { echo "Installing labgrid into $(LABGRID)"; \
		$(PYTHON) -m venv "$(LABGRID)" && "$(LABGRID)/bin/pip" install -q --disable-pip-version-check labgrid; }

test-labs: lab
	@tests/lava_lab/build.sh "$(LAB)/bookworm" bookworm
	$(BIN)/pytest tests/labs

lava-lab: lab
	@mkdir -p "$(LAB_STATE)"
	@tests/lava_lab/product.sh "$(STATE)/lava-lab/product" $(BIN)/python
	@tests/lava_lab/start.sh image "$(LAB)/sid" "$(LAB_STATE)" "$(STATE)/lava-lab/product"
	@echo "Starting LAVA, until Ctrl-C or: kill \$$(cat $(LAB_STATE)/pid)"
	@echo "To use it: tests/lava_lab/inside.sh $(LAB_STATE) lavacli --uri" \
		"http://admin:lavalabtoken@127.0.0.1:8000/RPC2 jobs submit /srv/group/job.yaml"
	@exec tests/lava_lab/start.sh lab "$(LAB)/sid" "$(LAB_STATE)" "$(STATE)/lava-lab/product"

SHELL_PROGRAMS = $(shell git ls-files -co --exclude-standard '*.sh' .ci/run lava_vmgroup/testdefs/scripts \
	examples/emulated-board/recipe tests/lava_lab/docker | xargs grep -lE '^\#!/bin/(ba)?sh|^\# shellcheck shell=sh')

test-quick: test-packages $(VENV)/.installed-test
	$(BIN)/ruff check -q .
	$(BIN)/pytest -q -n 4 tests/unit

lint: test-packages $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	shellcheck $(SHELL_PROGRAMS)

reference: $(VENV)/.installed-test
	$(BIN)/python docs/reference.py

docs: $(VENV)/.installed-test
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

images: demo-packages
	$(PYTHON) examples/emulated-board/build_images.py

# Tests run parts of them.  They are unpacked only: installed, they bring another init system.
lava-packages: test-packages
	@tests/support/unpack_debian.sh "$(LAVA)" "$$(. /etc/os-release; echo $$VERSION_CODENAME)" \
		lava-common lava-dispatcher
	@tests/support/unpack_debian.sh "$(LAVA)" sid lava-common lava-dispatcher lava-server

demo-packages test-packages lab-packages: %-packages:
	@missing=; \
	for package in $($(shell echo $* | tr a-z A-Z)_PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || \
			missing="$$missing $$package"; \
	done; \
	test -z "$$missing" && exit 0; \
	install="apt-get install -y --no-install-recommends$$missing"; \
	if [ "$$(id -u)" -ne 0 ]; then \
		echo "These Debian packages are needed; install them with: sudo $$install" >&2; exit 1; \
	fi; \
	echo "Installing Debian packages:$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	for attempt in 1 2 3; do \
		apt-get -q update >/dev/null && $$install -q >/dev/null && exit 0; \
		echo "Installing failed (attempt $$attempt of 3)" >&2; \
	done; exit 1

# To compile the byte code of all dependencies takes longer than it saves: few modules are used.
install = $(PYTHON) -m venv $(VENV) && \
	$(BIN)/pip install -q --disable-pip-version-check --no-compile -e '$(1)'

$(VENV)/.installed: setup.py | demo-packages
	@echo "Installing Python packages into $(VENV)"
	@$(call install,.)
	@touch $@

$(VENV)/.installed-test: setup.py | test-packages
	@echo "Installing Python packages for the tests into $(VENV)"
	@$(call install,.[test$(COMMA)docs])
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build results
