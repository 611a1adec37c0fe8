package tiering

// published: the volume has a live target. A rebuild needs one, and what a new
// replica of an unpublished volume holds nobody can prove (MS 4.7).
func published(t *turn) Verdict {
	want := words("a live target")
	switch {
	case !t.seen():
		return notAsked("Mayastor did not show the volume")
	case t.v.Unpublished != "":
		return holds(words(t.v.Unpublished), want)
	}
	return passes(words("it has a live target"), want)
}

// healthy: Mayastor shows the volume with every replica online and in sync.
func healthy(t *turn) Verdict {
	want := words("every replica online and in sync")
	mayastor := &t.plan.in.World.Mayastor
	switch {
	case t.v.Deleting:
		return holds(words("the PersistentVolume is being deleted"), words("a volume that stays"))
	case !mayastor.OK:
		return holds(words(or(text(mayastor.Message), "Mayastor could not be read")), want)
	case !t.v.Listed:
		return holds(words("Mayastor does not list the volume"), want)
	case t.v.Unhealthy != "":
		return holds(words(t.v.Unhealthy), want)
	case len(t.v.Replicas) == 0:
		return holds(words("Mayastor shows no replica of it"), want)
	}
	return passes(words("every replica is online and in sync"), want)
}

// content: nothing about the volume's content forbids a move (MS 4.7).
func content(t *turn) Verdict {
	want := words("content that a rebuild copies whole")
	if t.seen() && t.v.Content != "" {
		return holds(words(t.v.Content), want)
	}
	return passes(words("nothing in it forbids a copy"), want)
}

// snapshots: none, or the policy leaves them behind (MS 4.9).
func snapshots(t *turn) Verdict {
	have := items(int64(t.v.Snapshots), "snapshots")
	if t.rules().VolumesWithSnapshots == MoveSnapshots {
		return passes(have, words("any number, as volumesWithSnapshots is Move"))
	}
	return answer(t.v.Snapshots == 0, have, words("none, as volumesWithSnapshots is Skip"))
}

// seen reports whether what the volume says of itself is worth anything.
func (t *turn) seen() bool { return t.plan.in.World.Mayastor.OK && t.v.Listed }
