package simulator

import (
	"fmt"
	"maps"
)

const clusterSize = 4 * mib

func (s *Simulator) volumeOut(v *volume) volumeJSON {
	return volumeJSON{Spec: s.volumeSpec(v), State: s.volumeState(v)}
}

func (s *Simulator) volumeSpec(v *volume) volumeSpecJSON {
	spec := volumeSpecJSON{
		UUID: v.uuid, Size: v.size, NumReplicas: v.want, Status: v.status, Policy: policyJSON{v.selfHeal}, Thin: v.thin,
		Labels: maps.Clone(v.labels), NumSnapshots: len(v.snapshots), MaxSnapshots: v.maxSnapshots, Topology: v.topology(),
	}
	if !v.thin && len(v.snapshots) > 0 {
		spec.AsThin = new(true)
	}
	if v.op != nil {
		spec.Operation = &operationJSON{Operation: v.op.kind}
	}
	if v.target != nil {
		spec.Target = &targetJSON{Node: v.target.id, Protocol: "nvmf", FrontendNodes: []frontendJSON{{v.target.id, nodeNQN(v.target)}}}
	}
	if v.group != "" {
		spec.AffinityGroup = &groupJSON{v.group}
	}
	if v.source != "" {
		spec.ContentSource = &sourceJSON{snapshotSourceJSON{v.source, v.sourceVolume}}
	}
	if s.cfg.Profile.atLeast(V2_12) {
		spec.Encrypted, spec.SizeBdev, spec.LabelVersion = new(false), new(v.size+5*mib), new("v2")
	}
	return spec
}

func (v *volume) topology() *topologyJSON {
	t := &topologyJSON{}
	switch {
	case len(v.allowedNodes) > 0:
		t.NodeTopology = &nodeTopologyJSON{Explicit: &explicitJSON{AllowedNodes: v.allowedNodes, PreferredNodes: []string{}}}
	default:
		exclusion := map[string]string{}
		for _, k := range v.nodeExclusion {
			exclusion[k] = ""
		}
		t.NodeTopology = &nodeTopologyJSON{Labelled: &labelledJSON{Exclusion: exclusion, Inclusion: clone(v.nodeInclusion)}}
	}
	t.PoolTopology = &poolTopologyJSON{Labelled: &labelledJSON{Exclusion: map[string]string{}, Inclusion: clone(v.poolInclusion)}}
	return t
}

func (s *Simulator) volumeState(v *volume) volumeStateJSON {
	state := volumeStateJSON{UUID: v.uuid, Size: v.size, Status: s.statusOf(v), ReplicaTopology: map[string]replicaTopologyJSON{}}
	w := s.nexusSeen(v)
	if w.present {
		state.Target = s.nexusOut(v, w)
	}
	newest := s.cfg.Profile.atLeast(V2_12)
	for _, r := range v.own {
		rw := s.replicaSeen(r)
		t := replicaTopologyJSON{Node: r.pool.node.id, Pool: r.pool.id, State: rw.state}
		if c, ok := w.childSeen(r); ok {
			t.ChildStatus, t.ChildStatusReason = c.state, c.reason
			if c.progress >= 0 {
				t.RebuildProgress = new(c.progress)
				if newest && c.reason == "" {
					t.ChildStatusReason = "OutOfSync"
				}
			}
		}
		if rw.known {
			snaps := r.snapshotBytes(v)
			t.Usage = &replicaUsageJSON{r.size, rw.allocated, snaps, snaps}
		}
		if newest {
			t.Healthy, t.Encrypted = new(v.healthy(r)), new(false)
		}
		state.ReplicaTopology[r.uuid] = t
	}
	state.Usage = s.volumeUsage(v, state.ReplicaTopology)
	if s.reportsHealth() {
		state.Health = s.health(v)
	}
	return state
}

// snapshotBytes is what the snapshots taken of r itself hold on its pool.
func (r *replica) snapshotBytes(v *volume) int64 {
	var sum int64
	for _, snap := range v.snapshots {
		for _, c := range snap.copies {
			if c.replica == r.uuid {
				sum += c.bytes
			}
		}
	}
	return sum
}

// volumeUsage is absent when no replica's usage is known.
func (s *Simulator) volumeUsage(v *volume, replicas map[string]replicaTopologyJSON) *volumeUsageJSON {
	u := volumeUsageJSON{Capacity: v.size}
	known := false
	for _, t := range replicas {
		if t.Usage == nil {
			continue
		}
		known = true
		u.AllocatedReplica = max(u.AllocatedReplica, t.Usage.Allocated)
		u.AllocatedSnapshots = max(u.AllocatedSnapshots, t.Usage.AllocatedSnapshots)
		u.TotalAllocatedReplicas += t.Usage.Allocated
		u.TotalAllocatedSnapshots += t.Usage.AllocatedSnapshots
	}
	if !known {
		return nil
	}
	u.AllocatedAllSnapshots = u.AllocatedSnapshots
	u.Allocated = u.AllocatedReplica + u.AllocatedSnapshots
	u.TotalAllocated = u.TotalAllocatedReplicas + u.TotalAllocatedSnapshots
	return &u
}

func (s *Simulator) health(v *volume) *healthJSON {
	h := &healthJSON{CleanShutdown: v.clean}
	for _, r := range v.own {
		if !v.healthy(r) {
			continue
		}
		h.HealthyReplicas++
		h.CleanReplicas++
		if s.replicaSeen(r).state == "Online" {
			h.OnlineHealthyReplicas++
			h.OnlineCleanReplicas++
		}
	}
	return h
}

func nodeNQN(n *node) string { return "nqn.2019-05.io.openebs:node-name:" + n.id }

func (s *Simulator) nexusOut(v *volume, w nexusView) *nexusJSON {
	out := &nexusJSON{
		UUID: w.uuid, Node: w.node, Size: v.size, State: w.state, Protocol: "nvmf", Rebuilds: w.rebuilds, Children: []childJSON{},
	}
	if n, ok := s.nodes.get(w.node); ok {
		out.DeviceURI = fmt.Sprintf("nvmf://%s:8420/nqn.2019-05.io.openebs:nexus-%s", n.address(), v.uuid)
	}
	for _, c := range w.children {
		cj := childJSON{URI: c.uri, State: c.state, StateReason: c.reason}
		if c.progress >= 0 {
			cj.RebuildProgress = new(c.progress)
		}
		out.Children = append(out.Children, cj)
	}
	return out
}

func (s *Simulator) poolSpec(p *pool) poolSpecJSON {
	spec := poolSpecJSON{ID: p.id, Node: p.node.id, Disks: []string{"/dev/disk/by-id/" + p.id}, Status: "Created", Labels: maps.Clone(p.labels)}
	if p.cordon != (PoolCordon{}) {
		spec.CordonDrain = &cordonDrainJSON{p.cordon}
	}
	if s.cfg.Profile.atLeast(V2_12) {
		spec.Encrypted = new(false)
	}
	return spec
}

func (s *Simulator) poolOut(p *pool) poolJSON {
	out := poolJSON{ID: p.id, Spec: new(s.poolSpec(p))}
	if w := s.poolSeen(p); w.present {
		out.State = &poolStateJSON{
			ID: p.id, Node: p.node.id, Disks: []string{"aio:///dev/disk/by-id/" + p.id + "?uuid=" + p.uuid},
			Status: w.status, Capacity: w.capacity, Used: w.used, Committed: new(w.committed),
		}
		if s.cfg.Profile.atLeast(V2_12) {
			out.State.DiskCapacity, out.State.MaxExpandableSize = new(w.capacity), new(5*w.capacity)
		}
	}
	return out
}

func (s *Simulator) nodeOut(n *node) nodeJSON {
	endpoint := n.address() + ":10124"
	spec := &nodeSpecJSON{ID: n.id, GRPCEndpoint: endpoint, Labels: maps.Clone(n.labels), NodeNQN: nodeNQN(n), Version: n.version}
	cordons := append([]string{}, n.cordons...)
	switch {
	case n.drained && len(n.drains) > 0:
		spec.CordonDrainState = &nodeCordonStateJSON{DrainedState: &drainLabelsJSON{cordons, n.drains}}
	case len(n.drains) > 0:
		spec.CordonDrainState = &nodeCordonStateJSON{DrainingState: &drainLabelsJSON{cordons, n.drains}}
	case len(cordons) > 0:
		spec.CordonDrainState = &nodeCordonStateJSON{CordonedState: &cordonLabelsJSON{cordons}}
	}
	return nodeJSON{ID: n.id, Spec: spec, State: &nodeStateJSON{n.id, endpoint, n.status, nodeNQN(n), n.version}}
}

func (s *Simulator) replicaOut(r *replica) replicaJSON {
	w := s.replicaSeen(r)
	local := r.volume == nil || r.volume.target == nil || r.volume.local(r)
	out := replicaJSON{
		UUID: r.uuid, Node: r.pool.node.id, Pool: r.pool.id, PoolUUID: r.pool.uuid, Size: r.size, Thin: r.thin,
		Share: share(local), State: w.state, URI: r.uri(local), Kind: r.kind(),
	}
	if w.known {
		var snaps int64
		if r.volume != nil {
			snaps = r.snapshotBytes(r.volume)
		}
		out.Space = &replicaSize{r.size, w.allocated, snaps, snaps, clusterSize, ceil(r.size, clusterSize), ceil(w.allocated, clusterSize)}
	}
	return out
}

func (s *Simulator) replicaSpec(r *replica) replicaSpecJSON {
	spec := replicaSpecJSON{
		UUID: r.uuid, Managed: true, Owners: ownersJSON{Nexuses: []string{}}, Pool: r.pool.id, PoolUUID: r.pool.uuid,
		Share: share(true), Size: r.size, Status: "Created", Thin: r.thin, Kind: r.kind(),
	}
	if v := r.volume; v != nil {
		spec.Owners.Volume = v.uuid
		spec.Share = share(v.target == nil || v.local(r))
		if v.child(r) != nil {
			spec.Owners.Nexuses = []string{v.nexus.uuid}
		}
	}
	return spec
}

func (r *replica) kind() string {
	if r.clone {
		return "SnapshotClone"
	}
	return "Regular"
}

func share(local bool) string {
	if local {
		return "none"
	}
	return "nvmf"
}

func ceil(n, unit int64) int64 { return (n + unit - 1) / unit }
