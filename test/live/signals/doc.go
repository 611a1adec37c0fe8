// Package signals holds the tests of what operators are shown: the alerts and the
// dashboard that are shipped, on the real rule and query engine, fed by scraping
// the real service and the simulated exporter. A metric, a label or a label's
// value that is renamed fails them.
package signals
