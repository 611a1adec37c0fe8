package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// tokenFile is where a pod finds the token of its service account.
const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path, no secret

// actor is who acts, for the audit trail: service account and pod in a cluster,
// else user@host.
func actor() string {
	host, _ := os.Hostname()           // an audit line without a host is better than none
	token, _ := os.ReadFile(tokenFile) // by hand there is none
	return actorOf(os.Getenv, host, string(token), os.Getuid())
}

// actorOf goes by what the Job's template hands down; where that says nothing,
// by the pod's token and the host's name, which in a pod is the pod's.
func actorOf(env func(string) string, host, token string, uid int) string {
	account := subject(token)
	if name := env("SERVICE_ACCOUNT"); name != "" {
		account = "system:serviceaccount:" + env("POD_NAMESPACE") + ":" + name
	}
	if account != "" {
		return account + "/" + cmp.Or(env("POD_NAME"), host)
	}
	return cmp.Or(env("USER"), env("LOGNAME"), fmt.Sprintf("uid %d", uid)) + "@" + host
}

// subject is whom a token was given to, or "". It is not verified: who holds a
// token could as well write the line that it is for.
func subject(token string) string {
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Subject
}
