package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// The service's times; a real cluster has 30 s, 1 min and 10 min.
const (
	cacheTTL          = time.Second
	prometheusTimeout = time.Second
	scrapeInterval    = time.Second
	// coverageSlot is what the service is told of the scrape interval. It is
	// somewhat longer than the real one, since on a busy machine scrapes of one
	// second are not that punctual, and a slot without a sample is a gap.
	coverageSlot = 1500 * time.Millisecond
	settle       = time.Second

	// fresh is how old a reading of Prometheus may be to act on: 3 x TTL and
	// the time a reading may take.
	fresh = 3*cacheTTL + prometheusTimeout

	// atOnce is how many volumes of the cluster may move at once.
	atOnce = 6
)

// serve is the command that runs the service.
func serve(ctx context.Context, binary, prometheusURL, mayastorURL string) *exec.Cmd {
	return exec.CommandContext(ctx, binary, "serve",
		"--prometheus-url="+prometheusURL, "--mayastor-url="+mayastorURL,
		"--prometheus-timeout="+prometheusTimeout.String(), "--scrape-interval="+coverageSlot.String(),
		"--cache-ttl="+cacheTTL.String(), "--settle-time="+settle.String(), "--min-cooldown-period=1s",
		fmt.Sprintf("--max-concurrent-migrations=%d", atOnce),
		"--job-namespace="+namespace, "--job-image=couchestor:demo",
		"--log-level=info",
	)
}
