// Package mayastor speaks to the control plane of OpenEBS Mayastor and moves the
// replicas of a volume from pool to pool, online, with no copy lost.
//
// Mayastor has no call that moves a replica. It has a replica count: one more
// adds a copy on a pool that the server chooses, one less removes a copy that
// the server chooses. A move is one more, the proof that the new copy is in
// sync, and one less, with both choices steered by cordons that are up for
// seconds (MS 4.5, 5.4).
//
//   - [Reader] reads, and has no method that sends anything but GET. [Client] adds
//     the few changes that a move needs. Errors are of type [*Error], and each has
//     a [Class]: what is known to have happened (MS 1.2 to 1.5, 5.5).
//   - [Inventory] is one reading of the whole control plane.
//   - [Capability] is what this server lets a mover steer (MS 5.1, 5.3).
//   - [Route] is pure, and the only home of what must hold before a move, where a
//     replica may land and which one the server removes first (MS 4.3, 4.5, 5.4.1).
//     It answers with every step of the move, or with a [Refusal] for each thing
//     in its way. The planner asks it before a move and the migrator before each
//     step, so the two cannot disagree.
//   - [Migrator] makes one move of one volume. It looks, decides by the state and
//     never by an answer, writes down what it is about to do, and does it (MS 5.4,
//     5.6). It may be killed at any instant: the next one goes on from the [Journal].
//   - [Ledger] is where migrators agree on who works on which volume, how many
//     may, and who may set cordons now. [DirLedger] is one for use by hand; package
//     leases has the one of a cluster.
//
// A move by hand looks like this:
//
//	client, err := mayastor.NewClient(mayastor.Config{URL: url})
//	ledger, err := mayastor.NewDirLedger(dir)
//	m := mayastor.Migrator{Client: client, Ledger: ledger, Log: log, ...}
//	result, err := m.Move(ctx, stop, mayastor.Order{Volume: uuid, Ask: mayastor.Ask{Targets: pools}})
//	// err != nil: nothing final is recorded; call Move again with the same order.
//
// What it never does (MS 5.7):
//
//   - It gives no copy up unless one more than the volume asks for is proven to be
//     in sync on two reads, or the copy given up is the new one, still rebuilding.
//     The one exception is asked for by [Ask].AllowReduced, and keeps two copies.
//   - It begins nothing on a volume that is not published, not whole or not Online.
//   - It deletes no replica and no child of a nexus, publishes and unpublishes
//     nothing, and touches neither the cordon flag import nor the label
//     openebs.io/created-by.
//   - It lifts no cordon that somebody else set, and leaves none of its own behind:
//     those that a crash left are named in the ledger, and lifted by whoever may
//     set cordons next.
//   - It repeats no change by itself. After an answer that leaves room for doubt
//     the state is read again.
//
// Where a doc comment names MS, it is the facts about Mayastor that the design
// rests on.
package mayastor
