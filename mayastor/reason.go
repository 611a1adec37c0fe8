package mayastor

// The reasons for which [Healthy] and [Route] refuse a volume. Those that a
// move may end for are beside the migrator. In them a target is the volume's
// nexus, as Mayastor calls it, never a pool.
const (
	// Of the volume itself; see [Healthy].
	ReasonVolumeNotCreated  Reason = "VolumeNotCreated"
	ReasonOperationInFlight Reason = "OperationInFlight"
	ReasonSelfHealOff       Reason = "SelfHealOff"
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

	// Of the cluster and the server at this time (MS 5.4.1, 5.7).
	ReasonUnsupportedVersion Reason = "UnsupportedVersion"
	ReasonMixedVersions      Reason = "MixedVersions"
	ReasonNodeDraining       Reason = "NodeDraining"
	ReasonNodeDrained        Reason = "NodeDrained"
	ReasonNodeNotOnline      Reason = "NodeNotOnline"
	ReasonPoolDraining       Reason = "PoolDraining"
	ReasonPoolNotOnline      Reason = "PoolNotOnline"

	// Of the move as it was asked for.
	ReasonNoTargetPools Reason = "NoTargetPools"
	ReasonSnapshots     Reason = "Snapshots"
	ReasonAffinityGroup Reason = "AffinityGroup"

	// Of a pool as a place for one more replica (MS 4.3), with NodeNotOnline,
	// PoolNotOnline and PoolDraining from above.
	ReasonPoolUnknown     Reason = "PoolUnknown"
	ReasonPinnedTopology  Reason = "PinnedTopology"
	ReasonNodeNotAllowed  Reason = "NodeNotAllowed"
	ReasonNodeTopology    Reason = "NodeTopology"
	ReasonPoolTooSmall    Reason = "PoolTooSmall"
	ReasonEncryption      Reason = "Encryption"
	ReasonNoFreeNode      Reason = "NoFreeNode"
	ReasonSpreadTopology  Reason = "SpreadTopology"
	ReasonAffinityKey     Reason = "AffinityKey"
	ReasonNodeCordoned    Reason = "NodeCordoned"
	ReasonPoolCordoned    Reason = "PoolCordoned"
	ReasonPoolFull        Reason = "PoolFull"
	ReasonPoolOvercommit  Reason = "PoolOvercommit"
	ReasonPoolUsedPercent Reason = "PoolUsedPercent"

	// Of the walk as a whole.
	ReasonTooFewNodes      Reason = "TooFewNodes"
	ReasonRemovalAmbiguous Reason = "RemovalAmbiguous"
)
