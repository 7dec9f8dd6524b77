# SPDX-License-Identifier: Apache-2.0

# The one compiler that produces the committed BPF objects. Another version
# produces other bytes, and verify-generated fails.
CLANG_VERSION ?= 14
CLANG         ?= clang-$(CLANG_VERSION)
LLVM_STRIP    ?= llvm-strip-$(CLANG_VERSION)
CLANG_FORMAT  ?= clang-format-$(CLANG_VERSION)

# Every warning is an error; a hole in a structure both sides see is one too.
# Debian keeps asm/types.h in the directory of the architecture.
BPF_CFLAGS ?= -O2 -g -Wall -Werror -Wpadded -I/usr/include/$(shell gcc -print-multiarch 2>/dev/null)

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 2m
# Arguments for run, bench, conformance, attribution and soak: make run ARGS='--port 8080'
ARGS     ?=

# Loading BPF needs root. Go compiles as the calling user and only what it built
# runs as root, so that no cache ends up with files of two owners.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E env PATH=$(PATH))
EXEC    := $(if $(AS_ROOT),-exec '$(AS_ROOT)')

# The packages that load BPF or drive the whole program; the rest is pure and
# also runs under the race detector.
BPF_PACKAGES  := ./bpf/... ./pkg/loader/... ./internal/agent/... ./internal/doctor/... ./cmd/...
PURE_PACKAGES  = $(shell $(GO) list ./... | grep -Ev '^probe/(bpf|cmd|scripts|pkg/loader|internal/architecture)(/|$$)')
GO_TEST       := $(GO) test -count=1 -timeout 15m

# Sources of the kernel side.
BPF_SOURCES = $(shell find bpf -name '*.[ch]')
GO_SOURCES  = $(shell find . -name '*.go' -not -path './.*/*' -not -name '*_bpfel.go')

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-18s %s\n", $$1, $$2 }'

.PHONY: build
build: ## Build bin/probe, a static binary; needs only Go
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/probe ./cmd/probe

# A package's version is digits first, and what was made after a release is newer:
# v1.2.3-4-gabc becomes 1.2.3+4.gabc. Behind the plus, rpm takes no hyphen.
PACKAGE_VERSION = $(shell echo '$(VERSION)' | sed -E 's/^v?([0-9]+\.)/\1/; t tag; s/^/0.0.0+/; b dots; :tag; \
	s/-([0-9]+-g[0-9a-f]+(-dirty)?|dirty)$$/+\1/; :dots; s/(\+.*)-/\1./; t dots')
DEPLOY_TOOL     = $(GO) tool -modfile=deploy/validate/go.mod
IMAGE          ?= probe:$(VERSION)
DOCKER         ?= docker

.PHONY: package
package: build ## Make deb and rpm of bin/probe in dist/
	mkdir -p dist
	for format in deb rpm; do \
		VERSION='$(PACKAGE_VERSION)' GOARCH="$$($(GO) env GOARCH)" \
			$(DEPLOY_TOOL) nfpm package --config deploy/packaging/nfpm.yaml --packager $$format --target dist/ || exit 1; \
	done

.PHONY: image
image: ## Build the container image (IMAGE=..., DOCKER=podman)
	$(DOCKER) build --build-arg VERSION='$(VERSION)' -t '$(IMAGE)' .

.PHONY: install
install: build ## Install bin/probe and its systemd service on this host
	scripts/install.sh

.PHONY: test-deploy
test-deploy: build ## Check manifests, chart, packages and the least-privilege variant; needs root
	cd deploy/validate && $(GO_TEST) $(EXEC) ./...

.PHONY: vm
vm: ## Start a throw-away machine with probe's tools (Vagrant)
	vagrant up
	vagrant ssh -c 'cd /vagrant && make build && sudo bin/probe doctor'

.PHONY: run
run: build ## Build and run the agent, statsd lines to stdout (ARGS=...)
	$(AS_ROOT) bin/probe run $(ARGS)

.PHONY: test
test: deps ## Run all tests, pure packages also with the race detector; needs root for BPF
	$(GO_TEST) -race -p 1 $(PURE_PACKAGES)
	$(GO_TEST) -p 1 $(EXEC) ./...
	$(MAKE) test-deploy

.PHONY: test-bpf
test-bpf: ## Run the tests that load BPF; a skip is a failure
	PROBE_REQUIRE_BPF=1 $(GO_TEST) $(EXEC) $(BPF_PACKAGES)

.PHONY: test-restart
test-restart: ## Kill the agent 50 times under load and compare what it has kept
	PROBE_REQUIRE_BPF=1 PROBE_KILL_ROUNDS=50 $(GO_TEST) $(EXEC) -run '^TestKill$$' -v ./internal/agent

.PHONY: test-receivers
test-receivers: deps ## Test the export with collectd, netdata and Telegraf as well
	scripts/install-receivers.sh
	$(GO_TEST) -tags receivers -run TestReal ./pkg/export

.PHONY: reliability
reliability: ## Kill receivers, cut networks, and write docs/reliability.md (ARGS=...); needs root
	$(GO) run $(EXEC) ./scripts/reliability $(ARGS)

.PHONY: soak
soak: build ## Soak probe for half an hour, break what is around it, crowd the host (ARGS=...); needs root
	$(GO) run $(EXEC) ./scripts/soak $(ARGS)

.PHONY: deps
deps: ## Install what building BPF and testing need (Debian, Ubuntu)
	CLANG_VERSION=$(CLANG_VERSION) scripts/install-build-deps.sh
	scripts/install-test-deps.sh

.PHONY: generate
generate: ## Compile the BPF sources to the committed objects; needs clang
	BPF2GO_CC=$(CLANG) BPF2GO_STRIP=$(LLVM_STRIP) BPF2GO_CFLAGS='$(BPF_CFLAGS)' $(GO) generate ./pkg/loader ./bpf/...

.PHONY: verify-generated
verify-generated: ## Check that the committed BPF objects are what the sources give
	scripts/verify-generated.sh

.PHONY: fmt
fmt: ## Format Go and BPF sources in place
	gofmt -w $(GO_SOURCES)
	$(CLANG_FORMAT) -i $(BPF_SOURCES)

.PHONY: vet
vet: ## Run go vet
	$(GO) vet ./...
	$(GO) vet -tags receivers ./pkg/export

.PHONY: lint
lint: vet ## Check format, licences and structure (and golangci-lint where installed)
	@unformatted=$$(gofmt -l $(GO_SOURCES)); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted" >&2; exit 1; }
	$(CLANG_FORMAT) --dry-run --Werror $(BPF_SOURCES)
	scripts/check-spdx.sh
	$(GO_TEST) ./internal/architecture
	@if command -v golangci-lint >/dev/null; then golangci-lint run; fi

.PHONY: bench
bench: build ## Measure the cost of the attached probes (ARGS=...)
	$(GO) run $(EXEC) ./scripts/bench $(ARGS)

.PHONY: conformance
conformance: build ## Compare what probe sees with what servers and clients log (ARGS=...)
	$(GO) run $(EXEC) ./scripts/conformance $(ARGS)

.PHONY: attribution
attribution: build ## Compare the split of a request's time with what servers measure (ARGS=...)
	$(GO) run $(EXEC) ./scripts/attribution $(ARGS)

.PHONY: test-kernels
test-kernels: ## Try other kernels in QEMU and compare with docs/kernels.md (ARGS=...)
	scripts/install-kernel-deps.sh
	$(GO) run ./scripts/kernels $(ARGS)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (default 2m) each, and the properties with new cases
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' "$$file"); do \
			echo "== $$(dirname "$$file") $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
		done; \
	done
	$(GO) test -run '^TestAny' ./internal/exchange -rapid.seed=0 -rapid.checks=5000

.PHONY: clean
clean: ## Remove what the other targets left behind, except the committed objects
	rm -rf bin dist
	find . -name '*.test' -type f -delete
