package e2e

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/billyronks/couchestor/test/cluster/kubelet"
	"github.com/billyronks/couchestor/tiering"
)

// service returns what the process of the service that runs now used.
func (s *stage) service(t *testing.T) kubelet.Usage {
	t.Helper()
	var u kubelet.Usage
	eventually(t, "the service runs", func(context.Context) (bool, error) {
		all := slices.DeleteFunc(s.fleet.Usage(system, "couchestor-"), func(u kubelet.Usage) bool { return u.Container != "couchestor" || !u.Ended.IsZero() })
		if len(all) == 0 {
			return false, nil
		}
		u = all[len(all)-1]
		return true, nil
	})
	return u
}

func serviceKilled(t *testing.T, s *stage) {
	v := s.volume(t, "unserved", slow, "sata-1")
	s.policy(t, "unserved")
	s.busy(v)
	job, _ := s.moving(t, v)
	u := s.service(t)
	if err := syscall.Kill(u.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is started again", func(context.Context) (bool, error) {
		return s.service(t).PID != u.PID, nil
	})
	s.recorded(t, "unserved", v, tiering.OutcomeMoved)
	if got := s.pods(t, job.Name); len(got) != 1 {
		t.Errorf("the Job had %d pods, want one that never noticed", len(got))
	}
	s.on(t, v, "nvme", 1)
	s.gone(t, "unserved")
}

func watchLoopKilled(t *testing.T, s *stage) {
	v := s.volume(t, "unwatched", slow, "sata-1")
	s.policy(t, "unwatched")
	s.busy(v)
	s.moving(t, v)
	s.loop.Kill()
	s.remembers(t, v, "moved") // nobody is needed for it
	if err := s.loop.Start(); err != nil {
		t.Fatal(err)
	}
	s.recorded(t, "unwatched", v, tiering.OutcomeMoved)
	s.on(t, v, "nvme", 1)
	s.gone(t, "unwatched")
}

func apiServerRestarted(t *testing.T, s *stage) {
	v := s.volume(t, "headless", slow, "sata-1")
	s.policy(t, "headless")
	s.busy(v)
	job, _ := s.moving(t, v)
	suite.API.Kill()
	// For longer than a lock of the migrator lasts.
	timer := time.NewTimer(8 * time.Second)
	defer timer.Stop()
	<-timer.C
	if err := suite.StartAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.recorded(t, "headless", v, tiering.OutcomeMoved)
	t.Logf("pods of the Job: %d", len(s.pods(t, job.Name)))
	s.on(t, v, "nvme", 1)
	s.gone(t, "headless")
}

func nodeLost(t *testing.T, s *stage) {
	v := s.volume(t, "lost", slow, "sata-1")
	s.policy(t, "lost")
	s.busy(v)
	job, pod := s.moving(t, v)
	node := s.fleet.Node(pod.Spec.NodeName)
	node.Lose()
	s.recorded(t, "lost", v, tiering.OutcomeMoved)
	pods := s.pods(t, job.Name)
	if !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName != node.Name }) {
		t.Errorf("got pods %v, want one on another node than %s", names(pods), node.Name)
	}
	s.on(t, v, "nvme", 1)
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	s.ready(t)
	s.gone(t, "lost")
}

// The migrator that is cut off goes on to live beside the one that takes its place,
// and could reach Mayastor: what keeps it from acting is that it knows how old its
// lock is.
func cutOff(t *testing.T, s *stage) {
	v := s.volume(t, "cut", slow, "sata-1")
	s.policy(t, "cut")
	s.busy(v)
	job, pod := s.moving(t, v)
	node := s.fleet.Node(pod.Spec.NodeName)
	node.Partition(kubelet.API)
	defer node.Heal(kubelet.API)
	s.recorded(t, "cut", v, tiering.OutcomeMoved)
	if pods := s.pods(t, job.Name); !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.NodeName != node.Name }) {
		t.Errorf("got pods %v, want one on another node than %s", names(pods), node.Name)
	}
	if c := s.sim.Counts(v); c.Ups != 1 || c.Downs != 1 {
		t.Errorf("Mayastor was asked for %d replicas more and %d fewer, want each once", c.Ups, c.Downs)
	}
	s.on(t, v, "nvme", 1)
	node.Heal(kubelet.API)
	s.ready(t)
	s.gone(t, "cut")
}

func names(pods []corev1.Pod) []string {
	var out []string
	for _, p := range pods {
		out = append(out, p.Name+" on "+p.Spec.NodeName)
	}
	return out
}

func stopOne(t *testing.T, s *stage) {
	v := s.volume(t, "stopped", slow, "sata-1")
	s.policy(t, "stopped")
	s.busy(v)
	s.moving(t, v)
	begun := time.Now()
	s.patch(t, "stopped", `{"spec":{"enabled":false}}`)
	s.remembers(t, v, "aborted")
	t.Logf("from the patch to the safe end: %s", time.Since(begun).Round(100*time.Millisecond))
	s.recorded(t, "stopped", v, tiering.OutcomeAborted)
	s.on(t, v, "sata", 1)
	s.gone(t, "stopped")
}

func stopAll(t *testing.T, s *stage) {
	v := s.volume(t, "halted", slow, "sata-1")
	other := s.volume(t, "halted", quick, "sata-2")
	s.policy(t, "halted")
	s.busy(v)
	s.moving(t, v)
	begun := time.Now()
	s.governance(t, map[string]string{"emergencyStop": "true", "emergencyStop.reason": "INC-1"})
	s.remembers(t, v, "aborted")
	t.Logf("from the patch to the safe end: %s", time.Since(begun).Round(100*time.Millisecond))
	s.busy(other)
	eventually(t, "the policy says that everything is stopped, and why", func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, "halted")
		return err == nil && p.Status.Mode == "Stopped" && strings.Contains(p.Status.ModeReason, "INC-1"), err
	})
	s.on(t, v, "sata", 1)
	s.governance(t, map[string]string{"emergencyStop": "false"})
	s.recorded(t, "halted", other, tiering.OutcomeMoved)
	s.on(t, other, "nvme", 1)
	s.gone(t, "halted")
}

// governance sets keys of the cluster's governance, as somebody on call does.
func (s *stage) governance(t *testing.T, data map[string]string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	_, err = suite.Client.CoreV1().ConfigMaps(system).Patch(t.Context(), tiering.GovernanceName, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
