package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// file is one of a volume.
type file struct {
	data []byte
	mode fs.FileMode
}

// token is one that was issued to a pod.
type token struct {
	text string
	// renew is when the next one is asked for, after 80 % of its life.
	renew time.Time
}

// volumes fills the volumes of a pod, or brings them up to date.
func (p *pod) volumes(ctx context.Context, object *corev1.Pod) error {
	for i := range object.Spec.Volumes {
		v := &object.Spec.Volumes[i]
		dir := p.volumeDir(v.Name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if v.EmptyDir != nil {
			if err := os.Chmod(dir, 0o777); err != nil {
				return err
			}
			continue
		}
		files, err := p.content(ctx, object, v)
		if err == nil {
			err = replace(dir, files)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func (p *pod) volumeDir(name string) string { return filepath.Join(p.dir, "volumes", name) }

// content is what a volume shows now, by paths.
func (p *pod) content(ctx context.Context, object *corev1.Pod, v *corev1.Volume) (map[string]file, error) {
	switch {
	case v.ConfigMap != nil:
		data, _, err := p.configMap(ctx, object.Namespace, v.ConfigMap.Name, v.ConfigMap.Optional)
		return choose(data, v.ConfigMap.Items, v.ConfigMap.DefaultMode, v.ConfigMap.Optional, err)
	case v.Secret != nil:
		data, _, err := p.secret(ctx, object.Namespace, v.Secret.SecretName, v.Secret.Optional)
		return choose(data, v.Secret.Items, v.Secret.DefaultMode, v.Secret.Optional, err)
	case v.DownwardAPI != nil:
		return fields(object, v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		all := map[string]file{}
		for i := range v.Projected.Sources {
			files, err := p.projected(ctx, object, &v.Projected.Sources[i], v.Projected.DefaultMode)
			if err != nil {
				return nil, err
			}
			maps.Copy(all, files)
		}
		return all, nil
	default:
		return nil, errors.New("its kind is not supported by the test kubelet")
	}
}

// projected is one source of a projected volume.
func (p *pod) projected(ctx context.Context, object *corev1.Pod, s *corev1.VolumeProjection, mode *int32) (map[string]file, error) {
	switch {
	case s.ServiceAccountToken != nil:
		text, err := p.token(ctx, object, s.ServiceAccountToken)
		return map[string]file{s.ServiceAccountToken.Path: {data: []byte(text), mode: modeOf(nil, mode)}}, err
	case s.ConfigMap != nil:
		data, _, err := p.configMap(ctx, object.Namespace, s.ConfigMap.Name, s.ConfigMap.Optional)
		return choose(data, s.ConfigMap.Items, mode, s.ConfigMap.Optional, err)
	case s.Secret != nil:
		data, _, err := p.secret(ctx, object.Namespace, s.Secret.Name, s.Secret.Optional)
		return choose(data, s.Secret.Items, mode, s.Secret.Optional, err)
	case s.DownwardAPI != nil:
		return fields(object, s.DownwardAPI.Items, mode)
	default:
		return nil, errors.New("a source of it is not supported by the test kubelet")
	}
}

// choose takes the keys that a volume asks for, or all.
func choose(data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional *bool, err error) (map[string]file, error) {
	if err != nil {
		return nil, err
	}
	files := map[string]file{}
	if len(items) == 0 {
		for k, v := range data {
			files[k] = file{v, modeOf(nil, mode)}
		}
		return files, nil
	}
	for _, item := range items {
		v, ok := data[item.Key]
		if !ok {
			if optional != nil && *optional {
				continue
			}
			return nil, fmt.Errorf("there is no key %s", item.Key)
		}
		files[item.Path] = file{v, modeOf(item.Mode, mode)}
	}
	return files, nil
}

// fields are files of the downward API.
func fields(object *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode *int32) (map[string]file, error) {
	files := map[string]file{}
	for _, item := range items {
		var text string
		var err error
		switch {
		case item.FieldRef != nil:
			text, err = field(object, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			at := slices.IndexFunc(object.Spec.Containers, func(c corev1.Container) bool { return c.Name == item.ResourceFieldRef.ContainerName })
			if at < 0 {
				return nil, fmt.Errorf("there is no container %s", item.ResourceFieldRef.ContainerName)
			}
			text, err = limit(&object.Spec.Containers[at], item.ResourceFieldRef)
		}
		if err != nil {
			return nil, err
		}
		files[item.Path] = file{[]byte(text), modeOf(item.Mode, mode)}
	}
	return files, nil
}

func modeOf(own, preset *int32) fs.FileMode {
	switch {
	case own != nil:
		return fs.FileMode(*own)
	case preset != nil:
		return fs.FileMode(*preset)
	default:
		return 0o644
	}
}

// token is a token of the pod's service account, bound to the pod, with the
// audience and the life that are asked for. One that is old is replaced; if that
// fails it is kept.
func (p *pod) token(ctx context.Context, object *corev1.Pod, s *corev1.ServiceAccountTokenProjection) (string, error) {
	key := fmt.Sprint(s.Audience, " ", s.Path)
	have := p.tokens[key]
	if time.Now().Before(have.renew) {
		return have.text, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: s.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: object.Name, UID: object.UID},
	}}
	if s.Audience != "" {
		request.Spec.Audiences = []string{s.Audience}
	}
	asked := time.Now()
	answer, err := p.node.client.CoreV1().ServiceAccounts(object.Namespace).CreateToken(ctx, object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		if have.text != "" {
			return have.text, nil
		}
		return "", fmt.Errorf("token of %s: %w", object.Spec.ServiceAccountName, err)
	}
	life := answer.Status.ExpirationTimestamp.Sub(asked)
	p.tokens[key] = token{text: answer.Status.Token, renew: asked.Add(life * 8 / 10)}
	return answer.Status.Token, nil
}

// replace makes the volume show the files and no others, at once: as the kubelet
// does, the files are links into a directory that is changed by one rename.
func replace(dir string, files map[string]file) error {
	const current, next = "..data", "..data_tmp"
	if same(filepath.Join(dir, current), files) {
		return nil
	}
	fresh, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return err
	}
	visible := map[string]bool{}
	for path, f := range files {
		to := filepath.Join(fresh, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, f.data, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(to, f.mode); err != nil { // whatever our umask is
			return err
		}
		first, _, _ := strings.Cut(path, "/")
		visible[first] = true
	}
	old, _ := os.Readlink(filepath.Join(dir, current)) // none the first time
	if err := os.Symlink(filepath.Base(fresh), filepath.Join(dir, next)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, next), filepath.Join(dir, current)); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, "..") && !visible[name] {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
	}
	for name := range visible {
		if e := os.Symlink(filepath.Join(current, name), filepath.Join(dir, name)); e != nil && !errors.Is(e, fs.ErrExist) {
			err = errors.Join(err, e)
		}
	}
	if old != "" {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, old)))
	}
	return err
}

// same reports whether a directory shows the files and no others.
func same(dir string, files map[string]file) bool {
	found, other := 0, false
	err := filepath.WalkDir(dir+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if f, ok := files[rel]; !ok || !bytes.Equal(text, f.data) {
			other = true
			return fs.SkipAll
		}
		found++
		return nil
	})
	return err == nil && !other && found == len(files)
}
