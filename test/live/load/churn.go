package main

import (
	"context"
	"fmt"
	"time"
)

// churn changes volumes until ctx ends: of five changes one creates a volume, one
// deletes one, and three change something of a volume that concerns nobody.
type churn struct {
	town    *town
	kube    *kube
	history *history
	// claim renders claims as they are asked for.
	claim func(*volume) render

	created, deleted, changed int
}

func (c *churn) run(ctx context.Context, perSecond int) error {
	if perSecond == 0 {
		return nil
	}
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		var err error
		switch i % 5 {
		case 0:
			err = c.create()
		case 3:
			err = c.remove()
		default:
			v := c.town.any(false)
			v.touch()
			c.kube.put(volumesPath, v.name(), v.persistentVolume)
			c.changed++
		}
		if err != nil {
			return fmt.Errorf("change the cluster: %w", err)
		}
	}
}

// create provisions a volume as CSI does: the volume, the claim's object and its own.
func (c *churn) create() error {
	c.created++
	v := c.town.settle()
	c.kube.put(claimsPath, v.claimKey(), c.claim(v))
	c.kube.put(volumesPath, v.name(), v.persistentVolume)
	return c.history.write(v, time.Now())
}

// remove deletes one, in the order in which its claim's deletion does.
func (c *churn) remove() error {
	c.deleted++
	v := c.town.any(true)
	c.kube.remove(claimsPath, v.claimKey())
	if err := c.town.sim.DeleteVolume(v.uuid); err != nil {
		return err
	}
	c.kube.remove(volumesPath, v.name())
	return nil
}
