package mayastor

import "fmt"

// describe completes "the pool ..." for a filter that the pool does not pass.
func (p *placement) describe(pool *site, no *rejection) string {
	home, node := pool.node, pool.on
	switch no.reason {
	case ReasonPinnedTopology:
		return demanded(p.poolIn, no.key, pool.labels())
	case ReasonNodeNotAllowed:
		return fmt.Sprintf("is on node %s, and the volume is allowed on %s only", home, enumerate(p.allowed))
	case ReasonNodeTopology:
		return fmt.Sprintf("is on node %s, which %s", home, demanded(p.nodeIn, no.key, node.labels()))
	case ReasonPoolTooSmall:
		return fmt.Sprintf("holds %s, and the volume's size is %s", bytesText(pool.State.Capacity), bytesText(p.v.Spec.Size))
	case ReasonEncryption:
		if p.encrypted {
			return "is not encrypted, and the volume is"
		}
		return "is encrypted, and the volume is not"
	case ReasonNoFreeNode:
		return fmt.Sprintf("is on node %s, which holds a replica of the volume already", home)
	case ReasonSpreadTopology:
		if no.absent {
			return fmt.Sprintf("is on node %s and lacks the label %s by which the volume's replicas are spread", home, no.key)
		}
		return fmt.Sprintf("is on node %s and shares %s=%s with another replica, and they are to be spread by it", home, no.key, no.value)
	case ReasonAffinityKey:
		return fmt.Sprintf("does not share %s=%s with the other replicas, and they are to stay together by it", no.key, no.value)
	case ReasonNodeNotOnline:
		return fmt.Sprintf("is on node %s, which is %s", home, node.status())
	case ReasonNodeCordoned:
		return fmt.Sprintf("is on node %s, which is cordoned (%s)", home, enumerate(node.owners()))
	case ReasonPoolNotOnline:
		if pool.State == nil {
			return "has no state, as it is not imported"
		}
		return fmt.Sprintf("is %s, not Online", pool.status())
	case ReasonPoolCordoned:
		return "is cordoned against new replicas"
	case ReasonPoolFull:
		return fmt.Sprintf("has %s free, and more than %s are needed", bytesText(pool.State.Capacity-max(pool.State.Used, 0)), bytesText(no.need))
	case ReasonPoolOvercommit:
		return fmt.Sprintf("has promised %s of its %s, and with the volume that would exceed the server's limit of %d%%", bytesText(no.need), bytesText(pool.State.Capacity), overcommitPercent)
	case ReasonPoolUsedPercent:
		return fmt.Sprintf("has %s of %s used, and %s more would exceed %d%%", bytesText(pool.State.Used), bytesText(pool.State.Capacity), bytesText(p.kept), no.limit)
	default:
		return "does not qualify: " + string(no.reason)
	}
}

// demanded says how labels fail the demand for a key.
func demanded(d demand, key string, labels map[string]string) string {
	have, ok := labels[key]
	want := d.value(key)
	switch {
	case !ok && want == "":
		return fmt.Sprintf("has no label %s, and the volume demands one", key)
	case !ok:
		return fmt.Sprintf("has no label %s, and the volume demands %s=%s", key, key, want)
	}
	return fmt.Sprintf("has label %s=%s, and the volume demands %s=%s", key, have, key, want)
}

// bytesText is n for a sentence.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f /= 1024
		u++
	}
	if f == float64(int64(f)) {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}
