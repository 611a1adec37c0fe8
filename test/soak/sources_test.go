package soak

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/billyronks/couchestor/server/world"
)

// outage is a way for a server not to answer.
type outage int

const (
	well outage = iota
	refusing
	failing
	talking
	hanging
	cutting
	outages
)

// strike answers in its stead; ok is false if the server is well.
func (o outage) strike(r *http.Request) (resp *http.Response, ok bool, err error) {
	reply := func(code int, body io.Reader) (*http.Response, bool, error) {
		return &http.Response{
			StatusCode: code, Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(body), Request: r,
		}, true, nil
	}
	switch o {
	case refusing:
		return nil, true, errors.New("connection refused")
	case failing:
		return reply(http.StatusServiceUnavailable, strings.NewReader("no healthy upstream"))
	case talking:
		return reply(http.StatusOK, strings.NewReader("<html>please log in</html>"))
	case hanging:
		<-r.Context().Done()
		return nil, true, r.Context().Err()
	case cutting:
		return reply(http.StatusOK, io.MultiReader(strings.NewReader(`{"entries":[{"spec":`), cut{}))
	case well, outages:
	}
	return nil, false, nil
}

// cut is a connection that breaks.
type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// fragile is a server that may be away.
type fragile struct {
	http.RoundTripper

	mu    sync.Mutex
	is    outage
	calls int
}

func (f *fragile) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.calls++
	o := f.is
	f.mu.Unlock()
	if resp, away, err := o.strike(r); away {
		return resp, err
	}
	return f.RoundTripper.RoundTrip(r)
}

func (f *fragile) set(o outage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.is = o
}

// scores is a Prometheus that answers the three queries of a reading.
type scores struct {
	mu   sync.Mutex
	text []byte
	// loads are the mean IOPS of each volume, by the name of its PersistentVolume.
	// Volumes that are gone stay for a while, as they do in a window.
	loads []load
}

type load struct {
	pv   string
	iops float64
}

func (s *scores) set(loads []load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads = loads
}

func (s *scores) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	coverage := strings.Contains(r.Form.Get("query"), "present_over_time("+world.ReadOps) || strings.Contains(r.Form.Get("query"), "present_over_time("+world.WriteOps)
	now := strconv.FormatFloat(float64(time.Now().UnixMilli())/1000, 'f', -1, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text[:0], `{"status":"success","data":{"resultType":"vector","result":[`...)
	for i, l := range s.loads {
		if i > 0 {
			s.text = append(s.text, ',')
		}
		value := l.iops
		if coverage {
			value = 100
		}
		s.text = append(append(append(append(append(s.text, `{"metric":{"pv_name":"`...), l.pv...), `"},"value":[`...), now...), `,"`...)
		s.text = append(strconv.AppendFloat(s.text, value, 'f', -1, 64), `"]}`...)
	}
	s.text = append(s.text, `]}}`...)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(s.text))), Request: r}, nil
}
