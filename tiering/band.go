package tiering

import "fmt"

// A downward edge counts only below this share of it, in tenths. So a volume
// that 5 100 IOPS brought to the hot tier does not leave it at 4 900.
const downwardTenths = 9

// band returns the tier on which the rules want a volume with this score, and
// the edge it crossed; NoTier means that it stays where it is.
//
//	score             two tiers    three tiers
//	> high            hot          hot
//	warm to high      stay         warm
//	low to warm       stay         stay
//	< low             cold         cold
//
// The edges that lead down count from nine tenths of them for a volume that is
// above them, which on (the tier it is on, or leans to when mixed) tells.
func (r *Rules) band(score float64, on Tier) (to Tier, threshold float64) {
	high, warm, low := float64(r.HighWatermarkIOPS), float64(r.WarmWatermarkIOPS), r.lowEdge(on)
	switch {
	case score > high:
		return Hot, high
	case r.HasWarm() && score >= warm:
		if on != Hot {
			return Warm, warm
		}
		if edge := high * downwardTenths / 10; score < edge {
			return Warm, edge
		}
	case score < low:
		return Cold, low
	}
	return NoTier, 0
}

// lowEdge is the score below which a volume on the tier belongs on cold.
func (r *Rules) lowEdge(on Tier) float64 {
	low := float64(r.LowWatermarkIOPS)
	if on == Hot || on == Warm {
		return low * downwardTenths / 10
	}
	return low
}

// edges says which scores would take a volume away from the tier it is on.
func (r *Rules) edges(on Tier) string {
	var s string
	add := func(part string) {
		if s != "" {
			s += ", "
		}
		s += part
	}
	if on != Hot {
		add(fmt.Sprintf("above %s for hot", formatIOPS(float64(r.HighWatermarkIOPS))))
	}
	switch {
	case !r.HasWarm() || on == Warm:
	case on == Hot:
		if top := float64(r.HighWatermarkIOPS) * downwardTenths / 10; top > float64(r.WarmWatermarkIOPS) {
			add(fmt.Sprintf("from %d to below %s for warm", r.WarmWatermarkIOPS, formatIOPS(top)))
		}
	default:
		add(fmt.Sprintf("from %d to %s for warm", r.WarmWatermarkIOPS, formatIOPS(float64(r.HighWatermarkIOPS))))
	}
	if low := r.lowEdge(on); on != Cold && low > 0 {
		add(fmt.Sprintf("below %s for cold", formatIOPS(low)))
	}
	return s
}

// lean returns the tier that a mixed volume counts as being on: the tier of its
// last attempt, else the one with most of its replicas (the hottest of those
// that tie), else hot.
func (m *TierMap) lean(r *Rules, v *Volume) Tier {
	if t, ok := ParseTier(v.Remembered().Attempt.To); ok && t != NoTier && (t != Warm || r.HasWarm()) {
		return t
	}
	var on [Cold + 1]int
	for i := range v.Replicas {
		on[m.of[v.Replicas[i].Pool]]++
	}
	most := Hot
	for t := Hot; t <= Cold; t++ {
		if on[t] > on[most] {
			most = t
		}
	}
	return most
}
