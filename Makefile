# All of it works on a machine with Go, gcc (for race), make and git.
# The first run of lint and generate builds the tools pinned in tools/.

# Modules with code. Those in tools/ only pin the versions of tools. What needs a
# real kube-apiserver is in a module of its own, which only e2e runs.
MODULES := . test/live
CLUSTER := test/cluster

# Where git cannot read the checkout, Go must not try to stamp the version.
export GOFLAGS := $(shell go env GOFLAGS) $(if $(shell git log -1 --format=%H 2>/dev/null),,-buildvcs=false)

GOLANGCI_LINT := go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
CONTROLLER_GEN := go tool -modfile=$(CURDIR)/tools/generate/go.mod controller-gen crd:allowDangerousTypes=true paths=./tiering
CRD := manifests/base/crd
each = @set -e; for m in $(1); do echo "($$m) $(2)"; (cd $$m && $(2)); done

.PHONY: build image demo load test race soak e2e lint fmt generate generate-check tidy-check bench fuzz check

build: ## bin/couchestor, static
	CGO_ENABLED=0 go build -trimpath -o bin/couchestor ./server/couchestor

image: ## the container image, with docker, podman or buildah; IMAGE, TAG, ARCH and ENGINE choose
	tools/image

demo: build ## the whole loop on this machine, in about two minutes
	cd test/live && go run ./demo --binary $(CURDIR)/bin/couchestor

load: build ## the program in the memory and CPU of its Deployment, under 10 000 volumes, in about a quarter of an hour; LOAD has more flags
	cd test/live && go run ./load --binary $(CURDIR)/bin/couchestor $(LOAD)

test: ## every test
	$(call each,$(MODULES),go test -shuffle=on ./...)

race: ## every test under the race detector, with a part of the kills and random runs
	$(call each,$(MODULES),COUCHESTOR_KILL_EVERY=9 COUCHESTOR_MODEL_RUNS=40 COUCHESTOR_SOAK_HOURS=1 go test -race -shuffle=on -timeout=20m ./...)

soak: ## a day of the service on a virtual clock, in which nothing may be left behind (three to five minutes)
	COUCHESTOR_SOAK_HOURS=24 go test -count=1 -v -timeout=40m -run='^TestMemoryIsFlat$$' ./test/soak

e2e: ## Jobs and migrators on a real Kubernetes, which it builds once (a quarter of an hour), and 10 000 random runs
	COUCHESTOR_MODEL_RUNS=10000 go test -count=1 -v -timeout=60m -run='^TestModel$$' ./mayastor
	tools/e2e

lint: ## format, vet and linters
	$(call each,$(MODULES) $(CLUSTER),go vet ./...)
	$(call each,$(MODULES) $(CLUSTER),$(GOLANGCI_LINT) run)
	@! grep -rlF 'time.Sleep(' --include='*_test.go' . | xargs -rn1 dirname | sort -u | while read -r dir; do grep -qF testing/synctest $$dir/*_test.go || echo "$$dir: its tests sleep outside of testing/synctest"; done | grep .

fmt: ## gofumpt and the order of imports
	$(GOLANGCI_LINT) fmt

generate: ## the CRD from tiering/policy.go
	$(CONTROLLER_GEN) output:crd:dir=$(CRD)

generate-check: ## fails if the CRD is not what generate makes
	rm -rf bin/crd && $(CONTROLLER_GEN) output:crd:dir=bin/crd && diff -ru $(CRD) bin/crd

tidy-check: ## fails if a go.mod is not tidy
	$(call each,$(patsubst %/go.mod,%,$(shell find . -name go.mod)),go mod tidy -diff)

bench: ## every benchmark
	$(call each,$(MODULES),go test -run='^$$' -bench=. -benchmem ./...)

fuzz: ## every fuzz target for FUZZTIME each, 10s if not set
	tools/fuzz $(FUZZTIME)

check: ## what CI runs
	.ci/run
