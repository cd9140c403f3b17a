package recordings

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

// refusal is an answer to a player other than media.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string { return r.reason }

var (
	errBusy = &refusal{http.StatusServiceUnavailable, "too much is being read at a time; try again soon"}
	// errSlow is the cause of a request's end that the store is too slow for.
	errSlow = errors.New("the object store is too slow")
	// errCutOff is the error of an answer that broke off.
	errCutOff = errors.New("the answer broke off")
)

// readError is an error of the object store.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// refuse answers with an error, and returns its status: 0 when the player did
// not wait for it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) (status int) {
	if errors.Is(err, errCutOff) || r.Context().Err() != nil && !errors.Is(context.Cause(r.Context()), http.ErrServerClosed) {
		return 0
	}
	var (
		ref *refusal
		h   = w.Header()
	)
	switch known, read := new(resource.Error), new(readError); {
	case errors.As(err, &ref):
	case errors.Is(err, objectstore.ErrNotModified):
		if tag := r.Header.Get("If-None-Match"); strings.HasPrefix(tag, `"`) && !strings.Contains(tag, ",") {
			h.Set("ETag", tag)
		}
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	case errors.Is(err, objectstore.ErrNotFound), errors.As(err, &known) && known.Kind == resource.NotFound:
		ref = &refusal{http.StatusNotFound, "the recording has no such object"}
	case errors.Is(err, objectstore.ErrChanged):
		ref = &refusal{http.StatusPreconditionFailed, objectstore.ErrChanged.Error()}
	case errors.Is(err, objectstore.ErrRange):
		ref = &refusal{http.StatusRequestedRangeNotSatisfiable, objectstore.ErrRange.Error()}
	case errors.As(err, &read):
		s.Log.Warn("media of a recording cannot be read", "error", err)
		ref = &refusal{http.StatusBadGateway, "the object store does not answer, or refuses"}
	default:
		s.Log.Error("request for media of a recording failed", "error", err)
		ref = &refusal{http.StatusInternalServerError, "internal error"}
	}
	text, err := json.Marshal(map[string]string{"message": ref.reason})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	for _, name := range []string{"Accept-Ranges", "ETag"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if ref.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(ref.status)
	_, _ = w.Write(text) // an error means that the player is gone
	return ref.status
}
