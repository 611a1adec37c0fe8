// Package prometheus is a real Prometheus for tests and the demo: the upstream
// TSDB, PromQL engine, scraper and HTTP API, run as a library in this process.
//
// Nothing of Prometheus is imitated. Targets are scraped by upstream's scrape
// loops, samples live in a TSDB on disk, queries are answered by upstream's
// web/api/v1, so a client sees the same JSON, warnings, infos and error classes
// as from the released server of the same version ([Version]).
//
// There are three ways to put samples in:
//
//   - in real time: with [Config.ScrapeInterval] above zero every target of
//     [Config.Targets] is scraped in a loop, with jitter, `up` and staleness
//     markers as upstream writes them;
//   - on demand: [Prometheus.ScrapeOnce] scrapes each target once and stores
//     the samples under a time of the caller's choice, so that a simulator on a
//     virtual clock can be watched for an hour without waiting;
//   - by hand: [Prometheus.Append] and its kin store chosen values at chosen
//     times, for tests of queries.
//
// For tests of what the product does when Prometheus fails there are
// [Prometheus.Dark], [Prometheus.Light] and [Prometheus.Restart].
package prometheus
