package tiering

// Tier is a class of pools. The zero value is no tier.
type Tier uint8

// The tiers, hottest first.
const (
	NoTier Tier = iota
	Hot
	Warm
	Cold
)

// String returns hot, warm, cold, or none.
func (t Tier) String() string {
	switch t {
	case Hot:
		return "hot"
	case Warm:
		return "warm"
	case Cold:
		return "cold"
	case NoTier:
	}
	return "none"
}

// ParseTier reads what [Tier.String] writes; false for any other word.
func ParseTier(s string) (Tier, bool) {
	switch s {
	case "hot":
		return Hot, true
	case "warm":
		return Warm, true
	case "cold":
		return Cold, true
	case "none":
		return NoTier, true
	}
	return NoTier, false
}
