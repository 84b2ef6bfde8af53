# `make` lists the targets. They need only Go and Python (3.10 or newer); tools are
# pinned and kept in the user's cache folder.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
PYTHON ?= python3

MODULE := github.com/qhubctl/qhubctl
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
BUILD := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X $(MODULE)/internal/cli.version=$(VERSION)'

# The program that resolves references: a module with the clients of stores, and no others.
REFS_TAGS := custom_providers,vault,aws,gcp,azure,sops
REFS := cd refs && CGO_ENABLED=0 $(GO) build -trimpath -tags $(REFS_TAGS) -ldflags '-s -w -X main.version=$(VERSION)'

TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/qhubctl-tools
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
RUFF_VERSION := 0.17.5
RUFF := $(TOOLS)/ruff-$(RUFF_VERSION)/bin/ruff
GOTESTSUM_VERSION := v1.13.0
GOTESTSUM := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)/gotestsum
GO_LICENSES_VERSION := v1.6.0
GO_LICENSES := $(TOOLS)/go-licenses-$(GO_LICENSES_VERSION)/go-licenses
CYCLONEDX_VERSION := v1.9.0
CYCLONEDX := $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION)/cyclonedx-gomod
PYTHON_SOURCES := sdk/python examples internal/workspace/scaffold internal/runner internal/leak docs

# The race detector needs a C compiler.
RACE := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)
# Tests of processes mostly wait, so more of them run at once than there are
# processors.
ABREAST := -p 3 -parallel 6
# How often a failed test runs again, alone: CI sets 1, so that a test that needs a
# quiet machine is reported and does not stop a change.
RERUN ?=
# How long each target is fuzzed, those of the masker, and how long each
# benchmark runs.
FUZZTIME ?= 20s
MASKERTIME ?= 3m
BENCHTIME ?= 1s
COUNT ?= 1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/qhubctl, and bin/qhubctl-refs for references
	$(BUILD) -o bin/qhubctl ./cmd/qhubctl
	$(REFS) -o ../bin/qhubctl-refs .

.PHONY: demo
demo: ## run an example service with a secret, from nothing
	@MAKE='$(MAKE)' scripts/demo

.PHONY: test
test: test-go test-python ## run all tests

.PHONY: test-go
test-go: $(if $(RERUN),$(GOTESTSUM))
	@$(if $(RACE),,echo 'without the race detector: it needs a C compiler';) \
	$(if $(RERUN),$(GOTESTSUM) --format pkgname --rerun-fails=$(RERUN) --rerun-fails-max-failures 6 --packages ./... --,$(GO) test) \
		$(RACE) $(ABREAST) -timeout 25m $(if $(RERUN),,./...)
	cd bench && $(GO) vet ./... && $(GO) test ./figures
	cd deploy/image && $(GO) vet ./... && $(GO) test ./...
	cd refs && $(GO) vet -tags $(REFS_TAGS) . && $(GO) test -vet=off -tags $(REFS_TAGS) .

.PHONY: test-python
test-python:
	$(PYTHON) sdk/python/run_tests.py

.PHONY: bench
bench: build ## measure: start-up, serving, growth, masking (BENCHTIME=1s COUNT=1)
	QHUBCTL_BENCH_GROWTH=1 $(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -count $(COUNT) -timeout 30m ./internal/... ./sdk/...
	cd bench && CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) -count $(COUNT) -timeout 30m ./...

# The figures of docs/benchmarks.md about serving, in about eight minutes, and about
# growth. The servers of the trivial service are compared in three rounds, because
# other work of the machine changes by the minute.
.PHONY: figures
figures: build ## measure serving and growth, and write that into the docs (BENCHTIME=1s)
	mkdir -p bin
	QHUBCTL_BENCH_GROWTH=1 $(GO) test -run '^$$' -bench 'Growth|Services' -benchtime 20x -timeout 30m \
		./internal/store/sqlite ./internal/engine | tee bin/figures.txt
	cd bench && CGO_ENABLED=0 $(GO) test -run '^$$' -bench 'GoRunner|Budget' -benchtime 300x . | tee -a ../bin/figures.txt
	@for round in 1 2 3; do \
		(cd bench && CGO_ENABLED=0 $(GO) test -run '^$$' -bench Serving/service=trivial -benchtime $(BENCHTIME) -timeout 30m .) | tee -a bin/figures.txt; \
	done
	cd bench && CGO_ENABLED=0 $(GO) test -run '^$$' -bench 'Serving/service=[^t]' -benchtime $(BENCHTIME) -timeout 30m . | tee -a ../bin/figures.txt
	cd bench && $(GO) run ./figures < ../bin/figures.txt

.PHONY: attack
attack: ## attack the sandbox in every way, and run all other tests that take minutes
	QHUBCTL_TEST_EVERYTHING=1 $(GO) test -timeout 20m -run 'Hostile|AsOrdinaryUser|RewrapUnderLoad|LibrariesIn|NothingElse|SuitesOnPostgres' ./internal/runner/... ./internal/cli ./internal/hub ./internal/leak ./internal/redact ./internal/postgrestest

.PHONY: field
field: ## run services with twenty popular packages, by run, warm and cold (some minutes)
	QHUBCTL_TEST_FIELD=1 $(GO) test -timeout 40m -v -run '^TestField$$' ./internal/cli

.PHONY: fuzz
fuzz: ## fuzz every target for a while (FUZZTIME=20s each, MASKERTIME=3m)
	@scripts/fuzz $(FUZZTIME) $(MASKERTIME)

.PHONY: cover
cover: ## show which statements the Go tests reach
	$(GO) test -coverprofile coverage.out -coverpkg ./internal/...,./sdk/... ./...
	$(GO) tool cover -func coverage.out | tail -1

.PHONY: lint
lint: $(GOLANGCI_LINT) $(RUFF) ## check style, layers, words, commits and frequent mistakes
	$(GOLANGCI_LINT) run --allow-serial-runners ./...
	cd bench && $(GOLANGCI_LINT) run --allow-serial-runners ./...
	cd deploy/image && $(GOLANGCI_LINT) run --allow-serial-runners ./...
	cd refs && $(GOLANGCI_LINT) run --allow-serial-runners --build-tags $(REFS_TAGS) ./...
	$(RUFF) check --config sdk/python/pyproject.toml $(PYTHON_SOURCES)
	$(GO) run ./lint/words

.PHONY: words
words: ## record that texts have fewer banned words than before
	$(GO) run ./lint/words -update

# Built from source by the module proxy, so that the Go checksum database
# verifies it.
$(GOLANGCI_LINT):
	GOBIN=$(@D) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(GOTESTSUM):
	GOBIN=$(@D) GOFLAGS= $(GO) install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)

$(GO_LICENSES):
	GOBIN=$(@D) GOFLAGS= $(GO) install github.com/google/go-licenses@$(GO_LICENSES_VERSION)

$(CYCLONEDX):
	GOBIN=$(@D) GOFLAGS= $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

$(RUFF):
	$(PYTHON) -m venv $(TOOLS)/ruff-$(RUFF_VERSION)
	$(TOOLS)/ruff-$(RUFF_VERSION)/bin/python -m pip install --quiet --disable-pip-version-check ruff==$(RUFF_VERSION)

.PHONY: docs
docs: ## write the documents that are made from the program, and take their pictures
	$(GO) generate ./...
	QHUBCTL_TEST_PICTURES=$(CURDIR)/docs/console $(GO) test -count=1 ./internal/hub -run '^TestConsolePictures$$'

.PHONY: cross
cross: ## build for every supported system, into dist/
	@for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
		out=dist/qhubctl-$${target/\//-}; \
		if [[ $$target == windows/* ]]; then out+=.exe; fi; \
		echo "$$out"; \
		GOOS=$${target%/*} GOARCH=$${target#*/} $(BUILD) -o $$out ./cmd/qhubctl; \
		(export GOOS=$${target%/*} GOARCH=$${target#*/}; $(REFS) -o ../$${out/qhubctl-/qhubctl-refs-} .); \
	done

.PHONY: image
image: ## write a container image FROM scratch for each architecture, into dist/
	@for arch in amd64 arm64; do \
		out=$(CURDIR)/dist/qhubctl-image-$$arch.tar; \
		GOOS=linux GOARCH=$$arch $(BUILD) -o dist/qhubctl-linux-$$arch ./cmd/qhubctl; \
		(export GOOS=linux GOARCH=$$arch; $(REFS) -o ../dist/qhubctl-refs-linux-$$arch .); \
		(cd deploy/image && $(GO) run . -program ../../dist/qhubctl-linux-$$arch -references ../../dist/qhubctl-refs-linux-$$arch -arch $$arch -version $(VERSION) -out "$$out"); \
		echo "dist/$$(basename "$$out")"; \
	done

.PHONY: dist
dist: $(GO_LICENSES) $(CYCLONEDX) ## build all of a release into dist/: programs, images, licences, SBOM, sums
	rm -rf dist
	$(MAKE) cross image VERSION=$(VERSION)
	scripts/notice $(GO_LICENSES) > dist/NOTICE
	scripts/notice-refs $(GO_LICENSES) > dist/NOTICE-refs
	$(CYCLONEDX) app -json -licenses -main cmd/qhubctl -output dist/qhubctl.cdx.json .
	cd refs && GOFLAGS=-tags=$(REFS_TAGS) $(CYCLONEDX) app -json -licenses -main . -output ../dist/qhubctl-refs.cdx.json .
	cd dist && sha256sum * > SHA256SUMS

.PHONY: release
release: ## make a release from a clean tree, and tag it (VERSION=v0.1.0)
	@MAKE='$(MAKE)' scripts/release '$(if $(filter command line,$(origin VERSION)),$(VERSION))'

.PHONY: clean
clean: ## remove what was built here
	rm -rf bin dist coverage.out
