package rig

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// User is a person with a client certificate, of the name and the groups. It
// may do what its roles say.
func (r *Rig) User(name string, groups ...string) (*rest.Config, error) {
	cert, key, err := r.authority.client(name, groups...)
	if err != nil {
		return nil, err
	}
	cfg := r.endpoint()
	cfg.CertData, cfg.KeyData = cert, key
	return cfg, nil
}

// endpoint is the API server for nobody in particular.
func (r *Rig) endpoint() *rest.Config {
	return &rest.Config{
		Host: "https://" + r.address, QPS: 200, Burst: 400,
		TLSClientConfig: rest.TLSClientConfig{CAData: r.authority.pem},
	}
}

// Namespace makes a namespace with a name of its own.
func (r *Rig) Namespace(ctx context.Context, prefix string) (string, error) {
	ns, err := r.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return ns.Name, nil
}

// ServiceAccount makes an account and returns it with a token of a day, as a
// pod would have it. It may do nothing until it is granted something.
func (r *Rig) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	accounts := r.Client.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	token, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(24 * time.Hour / time.Second))},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("token of %s/%s: %w", namespace, name, err)
	}
	cfg := r.endpoint()
	cfg.BearerToken = token.Status.Token
	return cfg, nil
}

// Rule allows verbs on a resource of an API group.
func Rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

// Account is a subject for [Rig.Grant].
func Account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// Person is a subject for [Rig.Grant].
func Person(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}
}

// Grant allows the subject the rules in a namespace, or in all and beyond where
// namespace is "". It takes the place of what was granted there before.
func (r *Rig) Grant(ctx context.Context, to rbacv1.Subject, namespace string, rules ...rbacv1.PolicyRule) error {
	meta := metav1.ObjectMeta{Name: "granted-" + to.Namespace + "-" + to.Name}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Name: meta.Name}
	api := r.Client.RbacV1()
	var err, err2 error
	if namespace == "" {
		ref.Kind = "ClusterRole"
		err = apply(ctx, api.ClusterRoles(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules})
		err2 = apply(ctx, api.ClusterRoleBindings(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{to}})
	} else {
		ref.Kind = "Role"
		err = apply(ctx, api.Roles(namespace), &rbacv1.Role{ObjectMeta: meta, Rules: rules})
		err2 = apply(ctx, api.RoleBindings(namespace), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{to}})
	}
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	return r.granted(ctx, to, namespace, rules)
}

// granted waits until the authorizer knows of the rules; it learns of a role by
// a watch, like everybody.
func (r *Rig) granted(ctx context.Context, to rbacv1.Subject, namespace string, rules []rbacv1.PolicyRule) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the authorizer does not let %s do what was granted", to.Name))
	defer cancel()
	user := to.Name
	if to.Kind == rbacv1.ServiceAccountKind {
		user = Username(to.Namespace, to.Name)
	}
	for _, rule := range rules {
		var name string
		if len(rule.ResourceNames) > 0 {
			name = rule.ResourceNames[0]
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: rule.APIGroups[0], Resource: rule.Resources[0], Verb: rule.Verbs[0], Name: name,
			},
		}}
		err := Until(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
			answer, err := r.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			return err == nil && answer.Status.Allowed, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writer is a typed client of client-go.
type writer[T any] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
}

// apply creates the object, or puts it in the place of the one that is there.
func apply[T any](ctx context.Context, api writer[T], object T) error {
	_, err := api.Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = api.Update(ctx, object, metav1.UpdateOptions{})
	}
	return err
}

// Kubeconfig writes a kubeconfig file of the identity and returns its path.
func Kubeconfig(tb testing.TB, cfg *rest.Config) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(path, cfg); err != nil {
		tb.Fatal(err)
	}
	return path
}

// WriteKubeconfig writes the kubeconfig file of an identity.
func WriteKubeconfig(path string, cfg *rest.Config) error {
	const name = "rig"
	return clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cfg.Host, CertificateAuthorityData: cfg.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData, Token: cfg.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, path)
}
