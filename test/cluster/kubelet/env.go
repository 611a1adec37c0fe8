package kubelet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// standing is what each container gets beside its own.
func standing(host string) map[string]string {
	return map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "HOSTNAME": host,
		"KUBERNETES_SERVICE_HOST": rig.ServiceAddress, "KUBERNETES_SERVICE_PORT": "443", "KUBERNETES_SERVICE_PORT_HTTPS": "443",
	}
}

// environment is the environment of a container, as NAME=value in the order of the
// names.
func (p *pod) environment(ctx context.Context, object *corev1.Pod, c *corev1.Container, image Image) ([]string, error) {
	env := standing(object.Name)
	for _, line := range image.Env {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	for _, from := range c.EnvFrom {
		data, err := p.bulk(ctx, object.Namespace, from)
		if err != nil {
			return nil, err
		}
		for name, value := range data {
			env[from.Prefix+name] = value
		}
	}
	for _, e := range c.Env {
		value := expand(e.Value, env)
		if e.ValueFrom != nil {
			text, ok, err := p.value(ctx, object, c, e.ValueFrom)
			if err != nil {
				return nil, fmt.Errorf("env %s: %w", e.Name, err)
			}
			if !ok {
				continue
			}
			value = text
		}
		env[e.Name] = value
	}
	lines := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		lines = append(lines, name+"="+env[name])
	}
	return lines, nil
}

// bulk is what an entry of envFrom names.
func (p *pod) bulk(ctx context.Context, namespace string, from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		data, _, err := p.configMap(ctx, namespace, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		return text(data), err
	case from.SecretRef != nil:
		data, _, err := p.secret(ctx, namespace, from.SecretRef.Name, from.SecretRef.Optional)
		return text(data), err
	default:
		return nil, nil
	}
}

// value is what a valueFrom names; ok is false if it is optional and not there.
func (p *pod) value(ctx context.Context, object *corev1.Pod, c *corev1.Container, from *corev1.EnvVarSource) (value string, ok bool, err error) {
	pick := func(data map[string][]byte, found bool, err error, key string, optional *bool) (string, bool, error) {
		v, has := data[key]
		switch {
		case err != nil:
			return "", false, err
		case has:
			return string(v), true, nil
		case !found || optional != nil && *optional:
			return "", false, nil
		default:
			return "", false, fmt.Errorf("there is no key %s", key)
		}
	}
	switch {
	case from.FieldRef != nil:
		value, err = field(object, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = limit(c, from.ResourceFieldRef)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		data, found, err := p.configMap(ctx, object.Namespace, r.Name, r.Optional)
		return pick(data, found, err, r.Key, r.Optional)
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		data, found, err := p.secret(ctx, object.Namespace, r.Name, r.Optional)
		return pick(data, found, err, r.Key, r.Optional)
	default:
		return "", false, fmt.Errorf("%+v is not supported by the test kubelet", from)
	}
}

// configMap reads one; found is false if it is optional and not there.
func (p *pod) configMap(ctx context.Context, namespace, name string, optional *bool) (data map[string][]byte, found bool, err error) {
	m, err := p.node.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	data = maps.Clone(m.BinaryData)
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range m.Data {
		data[k] = []byte(v)
	}
	return data, true, nil
}

// secret reads one; found is false if it is optional and not there.
func (p *pod) secret(ctx context.Context, namespace, name string, optional *bool) (data map[string][]byte, found bool, err error) {
	s, err := p.node.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return s.Data, true, nil
}

func text(data map[string][]byte) map[string]string {
	out := map[string]string{}
	for k, v := range data {
		out[k] = string(v)
	}
	return out
}

// field is a field of a pod, as the downward API names it.
func field(p *corev1.Pod, path string) (string, error) {
	if key, ok := strings.CutSuffix(path, "']"); ok {
		if key, ok := strings.CutPrefix(key, "metadata.labels['"); ok {
			return p.Labels[key], nil
		}
		if key, ok := strings.CutPrefix(key, "metadata.annotations['"); ok {
			return p.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		return p.Namespace, nil
	case "metadata.uid":
		return string(p.UID), nil
	case "metadata.labels":
		return pairs(p.Labels), nil
	case "metadata.annotations":
		return pairs(p.Annotations), nil
	case "spec.nodeName":
		return p.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return p.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return p.Status.HostIP, nil
	case "status.podIP", "status.podIPs":
		return p.Status.PodIP, nil
	default:
		return "", fmt.Errorf("the field %s is not supported by the test kubelet", path)
	}
}

// pairs are labels or annotations as the downward API writes them.
func pairs(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%q\n", k, m[k])
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// limit is a limit or a request of a container, in units of the divisor, rounded
// up. No limit is that of the machine, which we do not tell.
func limit(c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = c.Resources.Requests
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "", fmt.Errorf("%s of container %s is not set", ref.Resource, c.Name)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	milli := divisor.MilliValue()
	return strconv.FormatInt((q.MilliValue()+milli-1)/milli, 10), nil
}

// expand replaces $(NAME) by what is in env, and leaves it where nothing is. $$ is
// a dollar sign.
func expand(s string, env map[string]string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = after
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "("), ")")
		value, known := env[name]
		switch {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			s = after[1:]
		case strings.HasPrefix(after, "(") && closed && known:
			b.WriteString(value)
			s = rest
		default:
			b.WriteByte('$')
		}
	}
}

// command is what a container runs.
func command(c *corev1.Container, image Image, env []string) []string {
	known := map[string]string{}
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		known[name] = value
	}
	expanded := func(list []string) (out []string) {
		for _, s := range list {
			out = append(out, expand(s, known))
		}
		return out
	}
	args := expanded(c.Command)
	if len(args) == 0 {
		args = slices.Clone(image.Entrypoint)
	}
	if len(args) == 0 {
		args = []string{image.inside()}
	}
	if !strings.Contains(args[0], "/") {
		args[0] = "/" + args[0] // there is nothing else on the PATH
	}
	return append(args, expanded(c.Args)...)
}
