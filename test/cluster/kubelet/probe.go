package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe asks a container that runs how it is, until ctx ends. It returns a channel
// that is closed once the container is to be ended: its liveness probe, or its
// startup probe, has failed too often.
func (c *container) probe(ctx context.Context) <-chan struct{} {
	sick := make(chan struct{})
	go func() {
		if s := c.spec.StartupProbe; s != nil {
			if !c.ask(ctx, s, func(well bool) bool { return !well }) {
				if ctx.Err() == nil {
					close(sick)
				}
				return
			}
			c.pod.edit(func() { c.started, c.ready = true, c.spec.ReadinessProbe == nil })
		}
		if s := c.spec.ReadinessProbe; s != nil {
			go c.ask(ctx, s, func(well bool) bool {
				c.pod.edit(func() { c.ready = well })
				return true
			})
		}
		if s := c.spec.LivenessProbe; s != nil {
			if !c.ask(ctx, s, func(well bool) bool { return well }) && ctx.Err() == nil {
				close(sick)
			}
		}
	}()
	return sick
}

// ask probes again and again, and tells verdict each time enough answers were
// alike, for as long as that returns true. It returns whether the last verdict was
// well.
func (c *container) ask(ctx context.Context, s *corev1.Probe, verdict func(well bool) bool) bool {
	if !c.rest(ctx, time.Duration(s.InitialDelaySeconds)*time.Second) {
		return false
	}
	alike, before := int32(0), false
	for {
		well := c.answers(ctx, s)
		if ctx.Err() != nil {
			return false
		}
		if well != before {
			alike, before = 0, well
		}
		alike++
		need := s.FailureThreshold
		if well {
			need = s.SuccessThreshold
		}
		if alike >= need && !verdict(well) {
			return well
		}
		pause(ctx, time.Duration(s.PeriodSeconds)*time.Second)
	}
}

// answers probes once.
func (c *container) answers(ctx context.Context, s *corev1.Probe) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.TimeoutSeconds)*time.Second)
	defer cancel()
	if s.TCPSocket != nil {
		conn, err := c.dial(ctx, s.TCPSocket.Port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx, s.HTTPGet.Port) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if strings.EqualFold(string(s.HTTPGet.Scheme), "https") {
		return false // supported says so before
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pod/"+strings.TrimPrefix(s.HTTPGet.Path, "/"), nil)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", "kube-probe/1")
	for _, h := range s.HTTPGet.HTTPHeaders {
		req.Header.Add(h.Name, h.Value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<10))
	return resp.StatusCode >= 200 && resp.StatusCode < 400
}

// dial connects to a port of the container, by number or name.
func (c *container) dial(ctx context.Context, port intstr.IntOrString) (net.Conn, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		var ok bool
		if number, ok = named(c.spec, port.StrVal); !ok {
			return nil, fmt.Errorf("container %s has no port %s", c.spec.Name, port.StrVal)
		}
	}
	c.pod.mu.Lock()
	box := c.pod.box
	c.pod.mu.Unlock()
	if box == nil {
		return nil, errors.New("the pod has no network yet")
	}
	return box.Dial(ctx, number)
}

// named is the number of a container's port.
func named(c *corev1.Container, name string) (int, bool) {
	for _, p := range c.Ports {
		if p.Name == name {
			return int(p.ContainerPort), true
		}
	}
	return 0, false
}
