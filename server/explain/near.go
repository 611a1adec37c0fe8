package explain

import (
	"cmp"
	"slices"
	"strings"
)

// Near returns at most n of the names that look like name, the most like first:
// those that differ by few letters, and those of which it is a part.
func Near(name string, names []string, n int) []string {
	type guess struct {
		name string
		off  int
	}
	name = strings.ToLower(name)
	var guesses []guess
	for _, have := range names {
		low := strings.ToLower(have)
		off := distance(name, low)
		if name != "" && (strings.Contains(low, name) || strings.HasSuffix(name, "/"+low)) {
			off = min(off, 1)
		}
		if off <= max(1, len(name)/4) {
			guesses = append(guesses, guess{have, off})
		}
	}
	slices.SortFunc(guesses, func(a, b guess) int { return cmp.Or(a.off-b.off, cmp.Compare(a.name, b.name)) })
	guesses = slices.Compact(guesses)
	guesses = guesses[:min(n, len(guesses))]
	all := make([]string, 0, len(guesses))
	for _, g := range guesses {
		all = append(all, g.name)
	}
	return all
}

// distance is how many letters have to be put in, taken out or replaced to make
// b of a; of names far apart in length, only how far.
func distance(a, b string) int {
	if d := len(a) - len(b); d > len(a)/2 || -d > len(a)/2 {
		return max(d, -d)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			swap := before
			if a[i] != b[j] {
				swap++
			}
			row[j+1] = min(above+1, row[j]+1, swap)
			before = above
		}
	}
	return row[len(b)]
}

// list joins the first names, and counts the rest.
func list(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + " and " + count(more, "other")
	}
	return strings.Join(names, ", ")
}
