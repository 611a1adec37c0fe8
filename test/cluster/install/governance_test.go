package install

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/tiering"
)

// govern sets the keys of the cluster's governance, all others are gone, and waits
// until admission knows them: of a probe it refuses what it did not before.
func govern(t *testing.T, keys map[string]string) {
	t.Helper()
	api := suite.Client.CoreV1().ConfigMaps(system)
	probe := time.Now().Format("150405.000000")
	data := map[string]string{"maxPoolUsedPercent.max": "no number " + probe}
	maps.Copy(data, keys)
	set := func(data map[string]string) {
		c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: tiering.GovernanceName, Namespace: system}, Data: data}
		_, err := api.Update(t.Context(), c, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = api.Create(t.Context(), c, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	refuses := func(want bool) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("admission does not follow the ConfigMap"))
		defer cancel()
		err := rig.Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
			_, err := policies(t).Create(ctx, bare("probe", map[string]any{}), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return strings.Contains(errorText(err), "maxPoolUsedPercent.max") == want, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(data)
	refuses(true)
	delete(data, "maxPoolUsedPercent.max")
	set(data)
	refuses(false)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func bare(name string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": tiering.APIVersion, "kind": tiering.Kind, "metadata": map[string]any{"name": name}, "spec": spec,
	}}
}

// ungoverned has admission hold nobody to any range: a cluster does not have the
// governance of the one that was installed before. The binding stays, as an API
// server of 1.36 does not find the ConfigMap any more for one that is made again.
func ungoverned(ctx context.Context, r *rig.Rig) error {
	api := r.Client.CoreV1().ConfigMaps(system)
	c, err := api.Get(ctx, tiering.GovernanceName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	c.Data = nil
	if _, err := api.Update(ctx, c, metav1.UpdateOptions{}); err != nil {
		return err
	}
	// Admission learns of that by a watch.
	client, err := dynamic.NewForConfig(r.Admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("admission goes on to hold policies to ranges"))
	defer cancel()
	return rig.Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(schema.GroupVersionResource{Group: tiering.Group, Version: tiering.Version, Resource: "storagepolicies"}).
			Create(ctx, bare("probe", map[string]any{"cooldownPeriod": "1s"}), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return !strings.Contains(errorText(err), "approved"), nil
	})
}

func TestAdmissionHoldsPoliciesToTheApprovedRanges(t *testing.T) {
	suite.Scenario(t, "admission refuses what is outside the approved ranges, and the service agrees")
	keys := map[string]string{
		"highWatermarkIOPS.min": "1000", "highWatermarkIOPS.max": "10000",
		"lowWatermarkIOPS.max": "800", "warmWatermarkIOPS.min": "900",
		"samplingWindow.min": "30m", "cooldownPeriod.min": "6h", "cooldownPeriod.max": "1d12h",
		"maxConcurrentMigrations.max": "4", "migrationTimeout.max": "2h", "minCoverage.min": "70", "priority.min": "-5",
		"exception.maxConcurrentMigrations.team.b": "CHG-7: the nightly batch",
	}
	govern(t, keys)
	governance, faults := tiering.ParseGovernance(keys)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	warm := map[string]any{"matchLabels": map[string]any{"tier": "ssd"}}
	for _, test := range []struct {
		rule   string
		policy string
		spec   map[string]any
		says   string // of the refusal; "" if it is taken
	}{
		{"the defaults are inside", "a", map[string]any{}, ""},
		{"at the lower end", "a", map[string]any{"highWatermarkIOPS": int64(1000)}, ""},
		{"below the lower end", "a", map[string]any{"highWatermarkIOPS": int64(999)}, "spec.highWatermarkIOPS is 999 and at least 1000 is approved"},
		{"at the upper end", "a", map[string]any{"highWatermarkIOPS": int64(10000)}, ""},
		{"above the upper end", "a", map[string]any{"highWatermarkIOPS": int64(10001)}, "spec.highWatermarkIOPS is 10001 and at most 10000 is approved"},
		{"a duration in other units", "a", map[string]any{"cooldownPeriod": "36h"}, ""},
		{"a duration above the upper end", "a", map[string]any{"cooldownPeriod": "1d12h1s"}, "spec.cooldownPeriod is 1d12h1s and at most 1d12h is approved"},
		{"a duration below the lower end", "a", map[string]any{"cooldownPeriod": "5h59m59s"}, "spec.cooldownPeriod is 5h59m59s and at least 6h is approved"},
		{"no warm tier is no warm watermark", "a", map[string]any{"warmWatermarkIOPS": int64(0)}, ""},
		{"a warm watermark below the lower end", "a", map[string]any{"warmWatermarkIOPS": int64(899), "warmPoolSelector": warm}, "spec.warmWatermarkIOPS is 899 and at least 900 is approved"},
		{"below zero", "a", map[string]any{"priority": int64(-6)}, "spec.priority is -6 and at least -5 is approved"},
		{"two at once", "a", map[string]any{"samplingWindow": "29m", "minCoverage": int64(69)}, "spec.samplingWindow is 29m and at least 30m is approved"},
		{"a policy with an exception", "team.b", map[string]any{"maxConcurrentMigrations": int64(9)}, ""},
		{"another policy than that with the exception", "team.c", map[string]any{"maxConcurrentMigrations": int64(9)}, "spec.maxConcurrentMigrations is 9 and at most 4 is approved"},
		{"another field than that of the exception", "team.b", map[string]any{"lowWatermarkIOPS": int64(801)}, "spec.lowWatermarkIOPS is 801 and at most 800 is approved"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			_, err := policies(t).Create(t.Context(), bare(test.policy, test.spec), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if test.says == "" && err != nil || !strings.Contains(errorText(err), test.says) {
				t.Errorf("got %v, want a refusal that says %q", err, test.says)
			}
			if outside := governance.Outside(compiled(t, test.policy, test.spec)); len(outside) > 0 != (test.says != "") {
				t.Errorf("the service finds %q", outside)
			}
		})
	}
}

// compiled is a policy as the service has it.
func compiled(t *testing.T, name string, spec map[string]any) *tiering.Policy {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var typed tiering.StoragePolicySpec
	if err := json.Unmarshal(raw, &typed); err != nil {
		t.Fatal(err)
	}
	p, faults := tiering.Compile(name, 1, time.Time{}, typed)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return &p
}

// Whoever narrows a range must not take the emergency stop from anybody.
func TestARangeThatWasNarrowedHindersNobodyFromStopping(t *testing.T) {
	suite.Scenario(t, "a policy outside a range that was narrowed can be stopped, and deleted")
	govern(t, nil)
	if _, err := create(t, "wide", map[string]any{"highWatermarkIOPS": int64(90000)}); err != nil {
		t.Fatal(err)
	}
	govern(t, map[string]string{"highWatermarkIOPS.max": "10000", "cooldownPeriod.max": "soon"})
	patch := func(patch string) error {
		_, err := policies(t).Patch(t.Context(), "wide", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	if err := patch(`{"spec":{"enabled":false}}`); err != nil {
		t.Errorf("it cannot be stopped: %v", err)
	}
	if err := patch(`{"metadata":{"finalizers":["example.com/x"]}}`); err != nil {
		t.Errorf("it cannot get a finalizer: %v", err)
	}
	if err := patch(`{"metadata":{"finalizers":null}}`); err != nil {
		t.Errorf("it cannot lose its finalizer: %v", err)
	}
	if err := patch(`{"spec":{"highWatermarkIOPS":80000}}`); !strings.Contains(errorText(err), "at most 10000 is approved") {
		t.Errorf("a change that stays outside: got %v", err)
	}
	if err := patch(`{"spec":{"cooldownPeriod":"7h"}}`); !strings.Contains(errorText(err), "no value that can be read at cooldownPeriod.max") {
		t.Errorf("a bound that cannot be read: got %v", err)
	}
	if err := patch(`{"spec":{"highWatermarkIOPS":9000}}`); err != nil {
		t.Errorf("it cannot come back into the range: %v", err)
	}
	govern(t, nil)
}
