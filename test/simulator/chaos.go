package simulator

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// Act names a kind of random act.
type Act string

// The acts RandomAct knows.
const (
	ActNodeBlip       Act = "node-blip"       // a node goes down or comes up; at most one is down
	ActPoolBlip       Act = "pool-blip"       // a pool fails or comes back; at most one is down
	ActFillPool       Act = "fill-pool"       // a pool fills up or gets room again
	ActStall          Act = "stall"           // a rebuild stalls or goes on
	ActFailRebuild    Act = "fail-rebuild"    // a rebuild will fail
	ActRestartRebuild Act = "restart-rebuild" // a rebuild starts over
	ActFailAttach     Act = "fail-attach"     // the next attach fails
	ActCoreRestart    Act = "core-restart"
	ActCoreDown       Act = "core-down"
	ActSwitchover     Act = "switchover"
	ActPublish        Act = "publish" // unpublish, or publish again
	ActUserScale      Act = "user-scale"
	ActResize         Act = "resize"
	ActSnapshot       Act = "snapshot"
	ActOperation      Act = "operation"       // somebody's operation holds a volume for a while
	ActDirty          Act = "dirty-operation" // and one that cannot be closed
	ActPoolCordon     Act = "pool-cordon"     // somebody cordons or uncordons a pool
	ActNodeCordon     Act = "node-cordon"
	ActHide           Act = "hide" // a volume is missing from the list
	ActDegradePool    Act = "degrade-pool"
	ActRestartNode    Act = "restart-node" // an io-engine restarts
	ActDrain          Act = "drain"        // a node is drained of targets, or no longer
	ActPoolDrain      Act = "pool-drain"   // a pool drain begins or ends its work on a volume
	ActDelete         Act = "delete"       // a volume is deleted; only when asked for
)

// ForeignLabel is the label of the node cordons and drains RandomAct sets.
const ForeignLabel = "somebody-else"

var acts = []Act{
	ActNodeBlip, ActPoolBlip, ActFillPool, ActStall, ActFailRebuild, ActRestartRebuild, ActFailAttach, ActCoreRestart, ActCoreDown,
	ActSwitchover, ActPublish, ActUserScale, ActResize, ActSnapshot, ActOperation, ActDirty, ActPoolCordon, ActNodeCordon, ActHide, ActDegradePool,
	ActRestartNode, ActDrain, ActPoolDrain,
}

// RandomAct does one random act of somebody else, of the kinds allowed (none
// named: any but ActDelete), and says which, or "" when the one drawn was not
// possible now. It never takes the last synced copy of a volume out of reach,
// and never has two nodes or two pools down.
func (s *Simulator) RandomAct(rng *rand.Rand, allowed ...Act) string {
	if len(allowed) == 0 {
		allowed = acts
	}
	act := allowed[rng.IntN(len(allowed))]
	var volumes, nodes, pools []string
	s.locked(func() {
		volumes, nodes, pools = slices.Clone(s.volumes.keys), slices.Clone(s.nodes.keys), slices.Clone(s.pools.keys)
	})
	if len(volumes) == 0 || len(nodes) == 0 || len(pools) == 0 {
		return ""
	}
	uuid, host, disk := volumes[rng.IntN(len(volumes))], nodes[rng.IntN(len(nodes))], pools[rng.IntN(len(pools))]
	coin := rng.IntN(2) == 0
	object := uuid
	var err error
	switch act {
	case ActNodeBlip:
		object = host
		if down := s.downNode(); down != "" {
			object, err = down, s.NodeUp(down)
		} else if err = s.spare(func(r *replica) bool { return r.pool.node.id == host }); err == nil {
			err = s.NodeDown(host)
		}
	case ActPoolBlip:
		object = disk
		if down := s.downPool(); down != "" {
			object, err = down, s.PoolUp(down)
		} else if err = s.spare(func(r *replica) bool { return r.pool.id == disk }); err == nil {
			err = s.PoolDown(disk)
		}
	case ActFillPool:
		object = disk
		if coin {
			err = s.FillPool(disk, 0)
		} else {
			err = s.FillPool(disk, -tib)
		}
	case ActStall:
		err = s.stall(uuid, coin)
	case ActFailRebuild:
		err = s.FailRebuildAt(uuid, 1+98*rng.Float64())
	case ActRestartRebuild:
		err = s.RestartRebuild(uuid)
	case ActFailAttach:
		err = s.FailAttaches(uuid, 1)
	case ActCoreRestart:
		object = "core"
		s.CoreRestart()
	case ActCoreDown:
		object = "core"
		s.CoreDown(time.Duration(1+rng.IntN(20)) * time.Second)
	case ActSwitchover:
		err = s.HASwitchover(uuid, host)
	case ActPublish:
		if err = s.Unpublish(uuid); err != nil {
			err = s.Publish(uuid, "")
		}
	case ActUserScale:
		err = s.UserScale(uuid, s.Replicas(uuid)+2*rng.IntN(2)-1)
	case ActResize:
		err = s.withVolume(uuid, func(v *volume) error { return s.resize(v, v.size+gib) })
	case ActSnapshot:
		err = s.TakeSnapshot(uuid)
	case ActOperation:
		err = s.OpenOperation(uuid, "CreateSnapshot", time.Duration(1+rng.IntN(30))*time.Second)
	case ActDirty:
		err = s.DirtyOperation(uuid, "Resize", time.Duration(1+rng.IntN(30))*time.Second)
	case ActPoolCordon:
		object = disk
		flags := PoolCordon{Replicas: true, Snapshots: rng.IntN(2) == 0}
		if !s.cfg.Profile.atLeast(V2_10) {
			err = errors.New("nobody cordons a pool where the server has no such route (MS 3.3)")
		} else if coin {
			err = s.ForeignPoolCordon(disk, flags, PoolCordon{})
		} else {
			err = s.ForeignPoolCordon(disk, PoolCordon{}, flags)
		}
	case ActNodeCordon:
		object = host
		if err = s.ForeignNodeCordon(host, ForeignLabel); err != nil {
			err = s.ForeignNodeUncordon(host, ForeignLabel)
		}
	case ActHide:
		err = s.HideFromList(uuid, time.Duration(1+rng.IntN(60))*time.Second)
	case ActDegradePool:
		object = disk
		err = s.DegradePool(disk, coin)
	case ActRestartNode:
		object = host
		if err = s.spare(func(r *replica) bool { return r.pool.node.id == host }); err == nil {
			err = s.RestartIOEngine(host)
		}
	case ActDrain:
		object = host
		if err = s.Drain(host, ForeignLabel); err != nil {
			err = s.Undrain(host, ForeignLabel)
		}
	case ActPoolDrain:
		if err = s.PoolDrainMarker(uuid, true); err != nil {
			err = s.PoolDrainMarker(uuid, false)
		}
	case ActDelete:
		err = s.DeleteVolume(uuid)
	}
	if err != nil {
		return ""
	}
	return string(act) + " " + object
}

func (s *Simulator) downNode() (id string) {
	s.locked(func() {
		for _, n := range s.nodes.values {
			if !n.up {
				id = n.id
			}
		}
	})
	return id
}

func (s *Simulator) downPool() (id string) {
	s.locked(func() {
		for _, p := range s.pools.values {
			if !p.up {
				id = p.id
			}
		}
	})
	return id
}

// spare returns an error when losing the replicas gone picks would leave a
// volume without a synced copy.
func (s *Simulator) spare(gone func(*replica) bool) (err error) {
	s.locked(func() {
		for _, v := range s.volumes.values {
			left := 0
			for _, r := range v.own {
				if s.synced(v, r) && !gone(r) {
					left++
				}
			}
			if left == 0 {
				err = fail("FailedPrecondition", "volume %s would lose its last copy", v.uuid)
			}
		}
	})
	return err
}
