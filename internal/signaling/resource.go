package signaling

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"anabranch/internal/metrics"
	"anabranch/internal/stage"
)

// Content types of what goes back and forth.
const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag" // RFC 8840 §9
)

// maxBody bounds an SDP, in bytes. An offer with simulcast and all the codecs
// of a browser has about ten thousand.
const maxBody = 64 << 10

// acceptHeader is where a method's content types are told (RFC 5789 §3.1 and its
// like for POST).
var acceptHeader = map[string]string{http.MethodPost: "Accept-Post", http.MethodPatch: "Accept-Patch"}

// methods has a resource's handlers by their method.
type methods map[string]func(http.ResponseWriter, *http.Request) error

// resource answers for what one path names: with the handler of the method, or
// with a refusal. kind is its name in the metric. A pre-flight (Fetch §3.2.2) is
// an OPTIONS that shows no token. What has no methods does not exist.
func (s *Server) resource(kind string, m methods) http.Handler {
	names := slices.Collect(maps.Keys(m))
	if m[http.MethodOptions] == nil {
		names = append(names, http.MethodOptions)
	}
	slices.Sort(names)
	allowed := strings.Join(names, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "Accept-Patch, Accept-Post, Allow, ETag, Link, Location, Retry-After, WWW-Authenticate")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		handle := m[r.Method]
		switch {
		case r.Method == http.MethodOptions && (handle == nil || r.Header.Get("Authorization") == ""):
			h.Set("Allow", allowed)
			h.Set("Access-Control-Allow-Methods", allowed)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusNoContent)
		case len(m) == 0:
			s.refuse(w, r, refuse(http.StatusNotFound, "nothing is at this path"))
		case handle == nil:
			h.Set("Allow", allowed)
			s.refuse(w, r, refuse(http.StatusMethodNotAllowed, "method %q is not one of %s", clip(r.Method), allowed))
		default:
			outcome := "ok"
			if err := handle(w, r); err != nil {
				outcome = s.refuse(w, r, err)
			}
			metrics.SignalingRequests.WithLabelValues(kind, outcome).Inc()
		}
	})
}

// bearer is the token of a request (RFC 6750 §2.1).
func bearer(r *http.Request) (string, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", refuse(http.StatusUnauthorized, "header Authorization: want Bearer and a participant token")
	}
	return token, nil
}

// body is the body of a request, which must be of a type.
func body(w http.ResponseWriter, r *http.Request, want string) ([]byte, error) {
	if is, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || is != want {
		w.Header().Set(acceptHeader[r.Method], want)
		return nil, refuse(http.StatusUnsupportedMediaType, "header Content-Type: want %s", want)
	}
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, refuse(http.StatusRequestEntityTooLarge, "body: is longer than %d bytes", maxBody)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "body: ended too early")
	case len(content) == 0:
		return nil, refuse(http.StatusBadRequest, "body: is empty")
	}
	return content, nil
}

// client is who asks.
func client(r *http.Request) stage.Client {
	return stage.Client{UserAgent: r.UserAgent()}
}
