package playback

import (
	"io"
	"net/http"

	"anabranch/internal/metrics"
)

const (
	// maxPath and maxQuery bound what a request may bring, in bytes: a token
	// of 2 KB and the parameters that players add.
	maxPath  = 2048
	maxQuery = 8192
)

// handler does what all requests of a kind have in common, and answers with
// the error of serve.
func (s *Server) handler(kind string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &counter{ResponseWriter: rw}
		allowOrigins(w.Header())
		switch {
		case len(r.URL.EscapedPath()) > maxPath || len(r.URL.RawQuery) > maxQuery:
			s.refuse(w, r, &refusal{code: codeTooLong, reason: "URI is too long"})
		case r.Method == http.MethodOptions:
			preflight(w)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", methods)
			s.refuse(w, r, &refusal{code: codeMethod, reason: "method is not allowed"})
		default:
			if err := serve(w, r); err != nil {
				s.refuse(w, r, err)
			}
		}
		metrics.PlaybackRequests.WithLabelValues(kind, w.class()).Inc()
		metrics.PlaybackBytes.WithLabelValues(kind).Add(float64(w.bytes))
	})
}

const methods = "GET, HEAD, OPTIONS"

// allowOrigins lets pages of any origin play.
func allowOrigins(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, Date, Retry-After")
	h.Set("Timing-Allow-Origin", "*")
}

func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Range")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// counter is a ResponseWriter that knows what it has sent. It passes ReadFrom
// on, so that files still go from the kernel to the socket.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := io.Copy(c.ResponseWriter, r)
	c.bytes += n
	return n, err
}

func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// class is the first digit of the status, or "gone" when the player left
// before it was answered.
func (c *counter) class() string {
	switch c.status / 100 {
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	}
	return "gone"
}
