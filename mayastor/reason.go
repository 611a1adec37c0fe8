package mayastor

// The reasons for which [Healthy] and [Route] refuse a volume. Those that a
// move may end for are beside the migrator.
const (
	// Of the volume itself; see [Healthy].
	ReasonVolumeNotCreated  Reason = "VolumeNotCreated"
	ReasonOperationInFlight Reason = "OperationInFlight"
	ReasonUnpublished       Reason = "Unpublished"
	ReasonCloneUnpublished  Reason = "CloneUnpublished"
	ReasonTemporaryTarget   Reason = "TemporaryTarget"
	ReasonTargetProtocol    Reason = "TargetProtocol"
	ReasonTargetMoving      Reason = "TargetMoving"
	ReasonTargetNotOnline   Reason = "TargetNotOnline"
	ReasonVolumeNotOnline   Reason = "VolumeNotOnline"
	ReasonRebuilding        Reason = "Rebuilding"
	ReasonCountsDisagree    Reason = "CountsDisagree"
	ReasonReplicaUnplaced   Reason = "ReplicaUnplaced"
	ReasonReplicaNotOnline  Reason = "ReplicaNotOnline"
	ReasonReplicaNotSynced  Reason = "ReplicaNotSynced"
	ReasonSelfHealOff       Reason = "SelfHealOff"
)
