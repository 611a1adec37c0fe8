package kubelet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

// inside is where a container finds the program of its image.
func (i Image) inside() string { return "/" + filepath.Base(i.Program) }

// describe says what the container is to see.
func (c *container) describe(ctx context.Context, object *corev1.Pod, image Image) (sandbox.Container, error) {
	env, err := c.pod.environment(ctx, object, c.spec, image)
	if err != nil {
		return sandbox.Container{}, err
	}
	dir := filepath.Join(c.pod.dir, "c", c.spec.Name)
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return sandbox.Container{}, err
	}
	if err := os.WriteFile(c.messageFile(), nil, 0o600); err != nil {
		return sandbox.Container{}, err
	}
	if err := os.Chmod(c.messageFile(), 0o666); err != nil {
		return sandbox.Container{}, err
	}
	box := sandbox.Container{
		Name: c.spec.Name, Args: command(c.spec, image, env), Env: env, Dir: c.spec.WorkingDir, Root: root,
		Log: filepath.Join(c.pod.node.fleet.logDir(object), fmt.Sprintf("%s.%03d.log", c.spec.Name, c.restarts)),
		Mounts: []sandbox.Mount{
			{Source: image.Program, Target: image.inside(), ReadOnly: true},
			{Source: filepath.Join(c.pod.dir, "hosts"), Target: "/etc/hosts"},
			{Source: c.messageFile(), Target: cmp.Or(c.spec.TerminationMessagePath, corev1.TerminationMessagePathDefault)},
		},
	}
	for inside, outside := range image.Files {
		box.Mounts = append(box.Mounts, sandbox.Mount{Source: outside, Target: inside, ReadOnly: true})
	}
	for _, m := range c.spec.VolumeMounts {
		if m.SubPathExpr != "" {
			return box, errors.New("subPathExpr is not supported by the test kubelet")
		}
		box.Mounts = append(box.Mounts, sandbox.Mount{
			Source: filepath.Join(c.pod.volumeDir(m.Name), m.SubPath), Target: m.MountPath, ReadOnly: m.ReadOnly || !writable(object, m.Name),
		})
	}
	return box, c.identify(&box, object, image)
}

// writable reports whether a volume is one that containers write to.
func writable(object *corev1.Pod, name string) bool {
	for _, v := range object.Spec.Volumes {
		if v.Name == name {
			return v.EmptyDir != nil
		}
	}
	return false
}

// identify says who the container runs as.
func (c *container) identify(box *sandbox.Container, object *corev1.Pod, image Image) error {
	var preset corev1.PodSecurityContext
	if object.Spec.SecurityContext != nil {
		preset = *object.Spec.SecurityContext
	}
	var own corev1.SecurityContext
	if c.spec.SecurityContext != nil {
		own = *c.spec.SecurityContext
	}
	user, group := cmp.Or(own.RunAsUser, preset.RunAsUser), cmp.Or(own.RunAsGroup, preset.RunAsGroup)
	if user == nil {
		user = new(int64(image.User))
	}
	if nonRoot := cmp.Or(own.RunAsNonRoot, preset.RunAsNonRoot); nonRoot != nil && *nonRoot && *user == 0 {
		return errors.New("container has runAsNonRoot and image will run as root")
	}
	box.ReadOnly = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	if os.Geteuid() != 0 {
		return nil // there is one user, and it is us
	}
	box.User = int(*user)
	if group != nil {
		box.Group = int(*group)
	}
	for _, g := range preset.SupplementalGroups {
		box.Groups = append(box.Groups, int(g))
	}
	if preset.FSGroup != nil {
		box.Groups = append(box.Groups, int(*preset.FSGroup))
	}
	return nil
}
