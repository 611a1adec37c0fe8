package simulator

import "fmt"

// The acts below are what others than the caller do to the world: hardware,
// users, CSI, other operators. They return an error when the world does not
// allow them, which a test that meant them must check.

// withVolume, withNode and withPool find the object of an act and run it on
// behalf of somebody foreign.
func (s *Simulator) withVolume(uuid string, act func(*volume) error) (err error) {
	s.locked(func() {
		v, found := s.volumes.get(uuid)
		if !found {
			err = fmt.Errorf("no volume %q", uuid)
			return
		}
		s.as(foreign, func() { err = act(v) })
	})
	return err
}

func (s *Simulator) withNode(id string, act func(*node) error) (err error) {
	s.locked(func() {
		n, found := s.nodes.get(id)
		if !found {
			err = fmt.Errorf("no node %q", id)
			return
		}
		s.as(foreign, func() { err = act(n) })
	})
	return err
}

func (s *Simulator) withPool(id string, act func(*pool) error) (err error) {
	s.locked(func() {
		p, found := s.pools.get(id)
		if !found {
			err = fmt.Errorf("no pool %q", id)
			return
		}
		s.as(foreign, func() { err = act(p) })
	})
	return err
}
