// Package docs holds the pages for people, for tests that run what they say. A
// test in another module that read them from disk would be cached while they
// change.
package docs

import "embed"

// Pages are the Markdown files.
//
//go:embed *.md
var Pages embed.FS
