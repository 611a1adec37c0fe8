package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/json"
)

// TooManyRequestsError is the error of a hook that answered 429. It is no event and
// no failure: the parent is looked at again After this time, at once if the
// header was missing or not understood (MC 2.6).
type TooManyRequestsError struct{ After time.Duration }

func (e *TooManyRequestsError) Error() string {
	return fmt.Sprintf("the hook answered 429 Too Many Requests, retry after %s", e.After)
}

// exchange is one call of a hook, as sent and as answered.
type exchange struct {
	request, response []byte
}

// call posts the body and returns the answer of a 200; any other outcome is an
// error (MC 2.6).
func (d *Driver) call(ctx context.Context, hook *Hook, name string, body any) (exchange, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return exchange{}, fmt.Errorf("encode %s request: %w", name, err)
	}
	response, err := d.post(ctx, hook, name, text)
	return exchange{text, response}, err
}

func (d *Driver) post(ctx context.Context, hook *Hook, name string, body []byte) ([]byte, error) {
	url, err := hook.url()
	if err != nil {
		return nil, err
	}
	if d.options.URL != nil {
		url = d.options.URL(url)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, hook.timeout(), fmt.Errorf("%s hook: no answer in %s", name, hook.timeout()))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s hook: %w", name, err)
	}
	request.Header.Set("Content-Type", "application/json")
	d.count(func(c *Counters) { c.RequestBytes += int64(len(body)) })
	response, err := d.clients[hook].Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) {
			return nil, cause
		}
		return nil, fmt.Errorf("%s hook: %w", name, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusTooManyRequests {
		_, _ = io.Copy(io.Discard, response.Body) // only to reuse the connection
		return nil, &TooManyRequestsError{retryAfter(response.Header.Get("Retry-After"))}
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("%s hook: read answer: %w", name, err)
	}
	d.count(func(c *Counters) { c.ResponseBytes += int64(len(text)) })
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s hook: unsupported status code: %d, body: %s", name, response.StatusCode, text)
	}
	return text, nil
}

// retryAfter reads whole seconds or an HTTP date; anything else is 0.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
