package mayastor_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  mayastor.Config
		err  string // empty: accepted
	}{
		{"http", mayastor.Config{URL: "http://mayastor-api-rest:8081"}, ""},
		{"https with a path", mayastor.Config{URL: "https://host/mayastor/"}, ""},
		{"no URL", mayastor.Config{}, "not of the form"},
		{"no scheme", mayastor.Config{URL: "mayastor-api-rest:8081"}, "not of the form"},
		{"no host", mayastor.Config{URL: "http:///v0"}, "not of the form"},
		{"another scheme", mayastor.Config{URL: "ftp://host"}, "not of the form"},
		{"not a URL", mayastor.Config{URL: "http://ho st/%zz"}, "cannot be parsed"},
		{"a query", mayastor.Config{URL: "http://host?x=1"}, "query"},
		{"a password", mayastor.Config{URL: "http://me:secret@host"}, "user name"},
		{"negative timeout", mayastor.Config{URL: "http://host", Timeout: -1}, "negative"},
		{"negative page size", mayastor.Config{URL: "http://host", PageSize: -1}, "negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := mayastor.NewClient(tt.cfg)
			if _, readErr := mayastor.NewReader(tt.cfg); (readErr == nil) != (err == nil) {
				t.Errorf("the reader says %v, the client %v", readErr, err)
			}
			switch {
			case tt.err == "" && err != nil:
				t.Errorf("got %v, want it accepted", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want one with %q", err, tt.err)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("got %v, which tells the password", err)
			}
		})
	}
}

func TestTheURLMayHaveAPathAndTheVersion(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"http://mayastor.test":           "GET /v0/nodes",
		"http://mayastor.test/":          "GET /v0/nodes",
		"http://mayastor.test/v0":        "GET /v0/nodes",
		"http://mayastor.test/v0/":       "GET /v0/nodes",
		"http://mayastor.test/storage/":  "GET /storage/v0/nodes",
		"http://mayastor.test/storage//": "GET /storage/v0/nodes",
	} {
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &tally{Handler: said{200, "[]"}}
				c := restClient(t, h, func(cfg *mayastor.Config) { cfg.URL = base })
				if _, err := c.Nodes(t.Context()); err != nil {
					t.Error(err)
				}
				if d := cmp.Diff(h.seen, []string{want}); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestTheTokenGoesWithEachRequestAndNowhereElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got []string
		n := 0
		c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.URL.Path+" "+r.Header.Get("Authorization"))
			w.Header().Set("Location", "http://elsewhere.test/v0/pools")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}), func(cfg *mayastor.Config) {
			cfg.Token = func(context.Context) (string, error) {
				n++
				return strings.Repeat("t", n) + "\n", nil
			}
		})
		_, err := c.Pools(t.Context())
		if !mayastor.IsRefused(err) {
			t.Errorf("got %v, want a redirect refused", err)
		}
		_, _ = c.CordonPool(t.Context(), "p")
		if d := cmp.Diff(got, []string{"/v0/pools Bearer t", "/v0/pools/p/cordon Bearer tt"}); d != "" {
			t.Error(d)
		}
	})
}

func TestWithoutItsTokenNothingIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &tally{Handler: said{200, "[]"}}
		broken := errors.New("the file is not there")
		c := restClient(t, h, func(cfg *mayastor.Config) {
			cfg.Token = func(context.Context) (string, error) { return "", broken }
		})
		if _, err := c.Pools(t.Context()); !mayastor.IsDenied(err) || !errors.Is(err, broken) {
			t.Errorf("got %v, want class denied with the reason", err)
		}
		if len(h.seen) != 0 {
			t.Errorf("sent %v", h.seen)
		}
	})
}

// overdue is a context whose deadline has passed and whose timer has not fired,
// as in a process that was paused and has just been woken up.
type overdue struct {
	context.Context
	until time.Time
}

func (o overdue) Deadline() (time.Time, bool) { return o.until, true }

func TestNothingIsSentAfterItsDeadlineThoughNoTimerHasFired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &tally{Handler: said{200, "{}"}}
		c := restClient(t, h, nil)
		_, err := c.UncordonPool(overdue{t.Context(), time.Now()}, "sata-1")
		if !errors.Is(err, context.DeadlineExceeded) || !mayastor.IsUnsure(err) || len(h.seen) > 0 {
			t.Errorf("got %v and requests %v, want nothing sent, as it is too late", err, h.seen)
		}
		if _, err := c.Nodes(overdue{t.Context(), time.Now().Add(time.Second)}); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v before the deadline", err)
		}
	})
}

func TestATokenThatTakesTooLongIsNotADeniedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := restClient(t, said{200, "[]"}, func(cfg *mayastor.Config) {
			cfg.Token = func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			}
		})
		if _, err := c.Pools(t.Context()); !mayastor.IsUnsure(err) {
			t.Errorf("got %v, want class unsure", err)
		}
	})
}

func TestAUUIDMayBeInCapitals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if _, err := restClient(t, said{200, volumeOut}, nil).Volume(t.Context(), strings.ToUpper(anyVolume)); err != nil {
			t.Error(err)
		}
	})
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 5000)
	for _, tt := range []struct {
		name string
		said said
		want string
	}{
		{
			"says what was tried and what Mayastor answered", kindOf(412, "FailedPrecondition"),
			`scale volume ` + anyVolume + ` to 3: PUT /v0/volumes/` + anyVolume + `/replica_count/3: 412 FailedPrecondition "SvcError" "some details"`,
		},
		{"says that a route is missing", said{404, ""}, `replica_count/3: 404 with an empty body`},
		{"quotes another's words", said{502, "<html>\nbad"}, `502 (the answer begins "<html>\nbad")`},
		{"leaves out empty words", said{507, `{"details":"","message":"","kind":"FailedPersist"}`}, `507 FailedPersist`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, err := restClient(t, tt.said, nil).SetReplicas(t.Context(), anyVolume, 3)
				if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
					t.Errorf("got  %v\nwant %s", err, tt.want)
				}
			})
		})
	}
	for name, s := range map[string]said{
		"of Mayastor":    {500, `{"details":"` + long + `","message":"` + long + `","kind":"` + long + `"}`},
		"of a proxy":     {500, long},
		"with bad UTF-8": {500, strings.Repeat("\xff\xfe", 1000)},
	} {
		t.Run("is short whatever the words "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, err := restClient(t, s, nil).SetReplicas(t.Context(), anyVolume, 3)
				if n := len(err.Error()); n > 2000 {
					t.Errorf("got %d bytes: %v", n, err)
				}
			})
		})
	}
	t.Run("does not tell the address", func(t *testing.T) {
		t.Parallel()
		refused := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") })}
		c, err := mayastor.NewClient(mayastor.Config{URL: "http://internal.example", HTTP: refused})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.SetReplicas(t.Context(), anyVolume, 2)
		want := "scale volume " + anyVolume + " to 2: PUT /v0/volumes/" + anyVolume + "/replica_count/2: connection refused"
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestPredicates(t *testing.T) {
	t.Parallel()
	all := map[string]func(error) bool{
		"unsure": mayastor.IsUnsure, "no-room": mayastor.IsNoRoom, "refused": mayastor.IsRefused, "gone": mayastor.IsGone,
		"unsupported": mayastor.IsUnsupported, "denied": mayastor.IsDenied, "persist": mayastor.IsPersist, "unchanged": mayastor.IsUnchanged,
	}
	for _, tt := range []struct {
		name string
		said said
		want []string
	}{
		{"FailedPersist is unsure and wants a longer wait", kindOf(507, "FailedPersist"), []string{"persist", "unsure"}},
		{"ResourceExhausted is no room", kindOf(507, "ResourceExhausted"), []string{"no-room"}},
		{"AlreadyExists is refused and unchanged", kindOf(422, "AlreadyExists"), []string{"refused", "unchanged"}},
		{"422 without words is unchanged, too", said{422, ""}, []string{"refused", "unchanged"}},
		{"422 of another kind is not", kindOf(422, "Odd"), []string{"refused"}},
		{"NotFound is gone", kindOf(404, "NotFound"), []string{"gone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, err := restClient(t, tt.said, nil).SetReplicas(t.Context(), anyVolume, 2)
				wrapped := errors.Join(errors.New("another"), err)
				var got []string
				for _, name := range []string{"denied", "gone", "no-room", "persist", "refused", "unchanged", "unsupported", "unsure"} {
					if all[name](wrapped) {
						got = append(got, name)
					}
					if all[name](nil) || all[name](errors.New("x")) {
						t.Errorf("%s holds of an error that is none of ours", name)
					}
				}
				if d := cmp.Diff(got, tt.want); d != "" {
					t.Error(d)
				}
				if got, want := mayastor.ClassOf(wrapped).String(), tt.want; !strings.Contains(strings.Join(want, " "), got) {
					t.Errorf("ClassOf says %s, want one of %v", got, want)
				}
			})
		})
	}
	if got := mayastor.ClassOf(errors.New("x")); got != mayastor.ClassUnsure {
		t.Errorf("an error of nobody's has class %s, want unsure", got)
	}
}
