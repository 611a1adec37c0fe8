// Package e2e tests CoucheStor whole: what is shipped is applied to a real
// Kubernetes control plane, under real rights and real tokens; pods run as
// processes on nodes that can be lost; the hooks are called by Metacontroller or by
// the contract driver; scores come from the real PromQL engine that scrapes the
// simulated Mayastor; and moves are done by the Jobs that come of it. Nothing here
// calls a function of the product.
//
// The package is tests only. They run one after the other on one installation, once
// for each way in which the service can learn of volumes, and are to be read as a
// list of what may happen on a bad day. The table at the end has their times.
package e2e
