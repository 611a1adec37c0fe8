package kubelet

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAPodIsWhoItsServiceAccountIs(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a pod's token is its service account's, bound to pod and node, where client-go looks for it")
	c := stage(t, Config{})
	c.create("me", c.spec("whoami", "once"))
	c.until("me", "ends well", phase(corev1.PodSucceeded))
	want := fmt.Sprintf("I am system:serviceaccount:%s:default pod [me] node [%s]\n", c.ns, c.node("a"))
	if got := c.Logs(c.ns, "me"); got != want {
		t.Errorf("got %swant %s", got, want)
	}
	// The real authorizer lets a node see to its own pods alone.
	c2 := stage(t, Config{})
	if _, err := c2.Node(c2.node("a")).client.CoreV1().Pods(c.ns).Get(t.Context(), "me", metav1.GetOptions{}); err == nil {
		t.Error("a node read a pod of another")
	}
}
