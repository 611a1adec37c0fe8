// Package server is the service: it answers Metacontroller's hooks on one
// address, and health and metrics on another, from what the readers of package
// world keep in memory. It decides nothing itself.
//
// A server is made by [New], which speaks to nobody, and lives as long as
// [Server.Run]. It stores nothing: killed and started again, or run twice, it
// answers the same.
package server
