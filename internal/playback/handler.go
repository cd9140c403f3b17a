package playback

import (
	"io"
	"net/http"

	"anabranch/internal/metrics"
)

// maxURI bounds what a request may bring, in bytes: a token of 2 KB and the
// parameters that players add.
const maxURI = 8 << 10

// handler does what all requests of a kind have in common, and answers with
// the error of serve. A browser's preflight is refused what check finds to be
// of the wrong origin.
func (s *Server) handler(kind *metrics.Playback, serve, check func(*answer, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &answer{ResponseWriter: rw, head: r.Method == http.MethodHead}
		h := w.Header()
		h["Access-Control-Allow-Origin"] = anyOrigin
		h["Access-Control-Expose-Headers"] = exposedHeaders
		h["Timing-Allow-Origin"] = anyOrigin
		h["X-Content-Type-Options"] = noSniff
		switch {
		case len(r.RequestURI) > maxURI:
			s.refuse(w, r, &refusal{code: codeTooLong, reason: "URI is too long"})
		case r.Method == http.MethodOptions:
			if err := check(w, r); isOfOrigin(err) {
				s.refuse(w, r, err)
			} else {
				preflight(w)
			}
		case r.Method != http.MethodGet && !w.head:
			h["Allow"] = methods
			s.refuse(w, r, &refusal{code: codeMethod, reason: "method is not allowed"})
		default:
			if err := serve(w, r); err != nil {
				s.refuse(w, r, err)
			}
		}
		kind.Answered(w.status, w.bytes)
	})
}

// Header values that are always the same. Every answer shares them: setting
// them one by one would allocate each anew.
var (
	anyOrigin      = []string{"*"} // pages of any origin may play, and see how long it took
	exposedHeaders = []string{"Accept-Ranges, Content-Encoding, Content-Length, Content-Range, Date, ETag, Retry-After"}
	noSniff        = []string{"nosniff"}
	methods        = []string{"GET, HEAD, OPTIONS"}
	requestHeaders = []string{"If-Match, If-None-Match, If-Range, Range"}
	aDay           = []string{"86400"}
	bytesUnit      = []string{"bytes"}
	acceptEncoding = []string{"Accept-Encoding"}

	playlistType = []string{"application/vnd.apple.mpegurl"}
	mediaType    = []string{"video/mp4"}
	refusalType  = []string{"application/json"}
)

func preflight(w *answer) {
	h := w.Header()
	h["Allow"] = methods
	h["Access-Control-Allow-Methods"] = methods
	h["Access-Control-Allow-Headers"] = requestHeaders
	h["Access-Control-Max-Age"] = aDay
	w.WriteHeader(http.StatusNoContent)
}

// answer is a ResponseWriter that knows what it has sent, and sends no body to
// who asked for the head alone. It passes ReadFrom on, so that files still go
// from the kernel to the socket.
type answer struct {
	http.ResponseWriter
	head   bool
	status int // 0 when the player left before it was answered
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begin()
	if a.head {
		return len(b), nil
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begin()
	if a.head {
		return 0, nil
	}
	n, err := io.Copy(a.ResponseWriter, r)
	a.bytes += n
	return n, err
}

func (a *answer) begin() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
