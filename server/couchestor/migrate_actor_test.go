package main

import (
	"encoding/base64"
	"testing"
)

func TestTheActorIsTheServiceAccountAndItsPodOrThePersonAndTheirHost(t *testing.T) {
	t.Parallel()
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"system:serviceaccount:storage:mover"}`))
	for _, tt := range []struct {
		name, token, want string
		env               map[string]string
	}{
		{"told by the template", "", "system:serviceaccount:couchestor-system:couchestor-migrate/pod-1", map[string]string{
			"POD_NAME": "pod-1", "POD_NAMESPACE": "couchestor-system", "SERVICE_ACCOUNT": "couchestor-migrate", "USER": "nobody",
		}},
		{"the template says nothing: token and host", "h." + claims + ".s\n", "system:serviceaccount:storage:mover/host-1", nil},
		{"token, and the pod's name", "h." + claims + ".s", "system:serviceaccount:storage:mover/pod-1", map[string]string{"POD_NAME": "pod-1"}},
		{"by hand", "", "alice@host-1", map[string]string{"USER": "alice", "LOGNAME": "a"}},
		{"by hand, without a name", "", "uid 1000@host-1", nil},
		{"something else in the token's place", "a.b", "alice@host-1", map[string]string{"USER": "alice"}},
		{"a token that is none", "a.!.c", "alice@host-1", map[string]string{"USER": "alice"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := func(key string) string { return tt.env[key] }
			if got := actorOf(env, "host-1", tt.token, 1000); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
