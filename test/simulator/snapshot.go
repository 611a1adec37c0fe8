package simulator

// snapshotPercent is what a snapshot keeps of the volume's data.
const snapshotPercent = 10

// takeSnapshot snapshots every replica on its own pool, where the copies stay
// when the replica moves (MS 4.9).
func (s *Simulator) takeSnapshot(v *volume) {
	snap := &snapshot{uuid: s.newUUID(), at: s.clock, size: v.size}
	for _, r := range s.owned(v) {
		c := snapshotCopy{uuid: s.newUUID(), replica: r.uuid, pool: r.pool, bytes: v.allocated * snapshotPercent / 100}
		r.pool.snapshots += c.bytes
		snap.copies = append(snap.copies, c)
	}
	v.snapshots = append(v.snapshots, snap)
}

// getSnapshots lists the snapshots of one volume or of all (MS 2.8).
func getSnapshots(s *Simulator, req *Request) *answer {
	of := req.Query.Get("volume_id")
	if _, byPath := req.params["volume_id"]; byPath {
		v, bad := s.volumeOf(req)
		if bad != nil {
			return bad
		}
		of = v.uuid
	}
	only := req.Query.Get("snapshot_id")
	if of != "" && !isUUID(of) || only != "" && !isUUID(only) {
		return refuse("Deserialize", "volume_id and snapshot_id must be uuids")
	}
	size, start, bad := page(req)
	if bad != nil {
		return bad
	}
	all := []snapshotJSON{}
	for _, v := range s.volumes.values {
		if of != "" && v.uuid != of {
			continue
		}
		for _, snap := range v.snapshots {
			if only == "" || snap.uuid == only {
				all = append(all, s.snapshotOut(v, snap))
			}
		}
	}
	from, to, next := slice(len(all), size, start)
	return ok(snapshotsJSON{Entries: all[from:to], NextToken: next})
}

func getSnapshot(s *Simulator, req *Request) *answer {
	id, bad := uuidOf(req, "snapshot_id")
	if bad != nil {
		return bad
	}
	of, byVolume := req.params["volume_id"]
	for _, v := range s.volumes.values {
		if byVolume && v.uuid != of {
			continue
		}
		for _, snap := range v.snapshots {
			if snap.uuid == id {
				return ok(s.snapshotOut(v, snap))
			}
		}
	}
	return refuse("NotFound", "Snapshot '"+id+"' not found")
}

func (s *Simulator) snapshotOut(v *volume, snap *snapshot) snapshotJSON {
	const txn = "1"
	at := stamp(snap.at)
	out := snapshotJSON{
		Definition: snapshotDefinitionJSON{
			Metadata: snapshotMetadataJSON{
				Status: "Created", Timestamp: at, Size: snap.size, SpecSize: snap.size, TxnID: txn,
				Transactions: map[string][]replicaSnapshotJSON{txn: {}}, NumRestores: snap.restores, NumSnapshotReplicas: len(snap.copies),
			},
			Spec: snapshotSpecJSON{snap.uuid, v.uuid},
		},
		State: snapshotStateJSON{
			UUID: snap.uuid, SourceVolume: v.uuid, Timestamp: at, ReadyAsSource: true, ReplicaSnapshots: []replicaSnapshotStateJSON{},
		},
	}
	meta := &out.Definition.Metadata
	for _, c := range snap.copies {
		meta.TotalAllocatedSize += c.bytes
		meta.Transactions[txn] = append(meta.Transactions[txn], replicaSnapshotJSON{c.uuid, c.replica, "Created"})
		var state replicaSnapshotStateJSON
		if s.poolSeen(c.pool).present {
			out.State.AllocatedSize = max(out.State.AllocatedSize, c.bytes)
			state.Online = &onlineSnapshotJSON{
				UUID: c.uuid, SourceID: c.replica, PoolID: c.pool.id, PoolUUID: c.pool.uuid, Timestamp: at, Size: snap.size, AllocatedSize: c.bytes,
			}
		} else {
			state.Offline = &offlineSnapshotJSON{c.uuid, c.replica, c.pool.id, c.pool.uuid}
		}
		out.State.ReplicaSnapshots = append(out.State.ReplicaSnapshots, state)
	}
	return out
}
