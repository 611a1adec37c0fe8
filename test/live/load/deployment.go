package main

import (
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/manifests"
)

// deployed is what the manifests give the service.
type deployed struct {
	memory int64
	cores  float64
	// env are the variables with a value, of base and overlay.
	env     map[string]string
	overlay string
}

// readDeployment reads base and the overlay for so many volumes.
func readDeployment(volumes int) (*deployed, error) {
	d := &deployed{env: map[string]string{}, overlay: "large"}
	switch {
	case volumes < 100:
		d.overlay = "small"
	case volumes <= 500:
		d.overlay = "medium"
	}
	var base appsv1.Deployment
	if err := readManifest("base/deployment.yaml", &base); err != nil {
		return nil, err
	}
	var overlay struct{ Patches []struct{ Patch string } }
	if err := readManifest("overlays/"+d.overlay+"/kustomization.yaml", &overlay); err != nil {
		return nil, err
	}
	layers := []appsv1.Deployment{base}
	for _, p := range overlay.Patches {
		var patch appsv1.Deployment
		if err := yaml.Unmarshal([]byte(p.Patch), &patch); err != nil {
			return nil, fmt.Errorf("read a patch of overlay %s: %w", d.overlay, err)
		}
		layers = append(layers, patch)
	}
	for _, layer := range layers {
		for _, c := range layer.Spec.Template.Spec.Containers {
			if memory, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
				d.memory = memory.Value()
			}
			if cpu, ok := c.Resources.Limits[corev1.ResourceCPU]; ok {
				d.cores = cpu.AsApproximateFloat64()
			}
			for _, e := range c.Env {
				if e.ValueFrom == nil {
					d.env[e.Name] = e.Value
				}
			}
		}
	}
	if d.memory == 0 || d.cores == 0 {
		return nil, errors.New("the Deployment has no limits")
	}
	return d, nil
}

func readManifest(path string, into any) error {
	text, err := manifests.Files.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// settings are the variables that tell the program how to behave, those that the
// run sets itself left out.
func (d *deployed) settings() []string {
	var list []string
	for name, value := range d.env {
		switch name {
		case "PROMETHEUS_URL", "MAYASTOR_URL", "COUCHESTOR_CONFIG", "COUCHESTOR_JOB_IMAGE":
			continue
		}
		list = append(list, name+"="+strings.TrimSpace(value))
	}
	return list
}
