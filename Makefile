# make test is for every change; .ci/run adds check, race and fuzz.
FUZZTIME ?= 10s
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 \
            freebsd/amd64 netbsd/amd64 openbsd/amd64 dragonfly/amd64
# Folders with a go.mod of their own, run as: $(call nested,COMMAND)
NESTED    = $(dir $(wildcard contrib/*/go.mod bench/*/go.mod))
nested    = @set -e; for m in $(NESTED); do echo "$$m: $(1)"; (cd $$m && $(1)); done

# What runs the tests. CI has a command of its own.
GOTEST   ?= go test

# Tests whose system calls fail as they will have it, for which there is a build tag.
SHIM = Sequences|BlockAfterLoss

# Commands that tests need, as COMMAND:PACKAGE where Debian's package has another name.
NEEDS     = redis-server strace promtool:prometheus node:nodejs npm nghttp:nghttp2-client

.PHONY: test check race fuzz judges faults bench doc format

test: format # this platform: format, vet, and the tests of each module
	@internal/ci/need.sh $(NEEDS)
	go vet ./...
	@set -e; for f in docs/guide/*/*.go; do go vet $$f; done
	$(GOTEST) -timeout 5m ./...
	go test -tags faults -run '$(SHIM)' -timeout 5m ./internal/faults
	$(call nested,go build -o /dev/null ./... && go vet ./... && $(GOTEST) -timeout 5m ./...)

check: format # vet for each platform. From nothing each costs half a minute on two
	@# cores, spent on compiling the library for it; unoptimised that is a quarter less.
	@set -e; for p in $(PLATFORMS); do echo "vet $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} go vet -gcflags='all=-N -l' ./...; done

format:
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not formatted:"; echo "$$out"; exit 1; }

race: # the same tests under the race detector, which needs a C compiler
	@internal/ci/need.sh gcc $(NEEDS)
	CGO_ENABLED=1 $(GOTEST) -race -timeout 10m ./...
	CGO_ENABLED=1 go test -race -tags faults -run '$(SHIM)' -timeout 10m ./internal/faults
	$(call nested,CGO_ENABLED=1 $(GOTEST) -race -timeout 10m ./...)

fuzz: # each fuzz target for FUZZTIME; an input that fails is left in testdata/fuzz
	@internal/ci/fuzz.sh $(FUZZTIME)
	$(call nested,$(CURDIR)/internal/ci/fuzz.sh $(FUZZTIME))

judges: # those of make test who are others' programs; here none may be missing
	@internal/ci/need.sh $(NEEDS)
	cd contrib/judges && WEIR_JUDGES=all go test -count=1 -v -timeout 10m ./...

faults: # the fault suite as long as its figures need; make test has a short form
	WEIR_FAULTS=long go test -count 1 -timeout 15m -v ./internal/faults
	WEIR_FAULTS=long go test -tags faults -run '$(SHIM)' -count 1 -timeout 15m -v ./internal/faults
	WEIR_FAULTS=long go test -run UnderLoad -count 1 -timeout 5m -v ./restart
	cd contrib/grpc && WEIR_FAULTS=long go test -run Restart -count 1 -timeout 5m -v .
	cd contrib/interop && WEIR_FAULTS=long go test -count 1 -timeout 20m -v ./faults
	cd contrib/interop && WEIR_FAULTS=long CGO_ENABLED=1 go test -race -run Soak -count 1 -timeout 20m -v ./faults

bench: # this runtime against package net; see go run ./bench -h
	go run ./bench $(ARGS)

doc: # what each package exports
	@for p in $$(go list ./...); do go doc -all $$p; echo; done
