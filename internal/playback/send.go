package playback

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// send answers with content, or with what the conditions and ranges of the
// request leave of it (RFC 9110 §13 and §14). The headers that describe the
// content, ETag among them, are set before.
func send(w *answer, r *http.Request, content io.ReadSeeker) error {
	if unit := r.Header["Range"]; unit != nil && (w.head || !strings.HasPrefix(unit[0], "bytes=")) {
		r.Header.Del("Range") // not for this method, or not understood: RFC 9110 §14.2
	}
	if r.Header["Range"] != nil || r.Header["If-None-Match"] != nil || r.Header["If-Match"] != nil {
		http.ServeContent(w, r, "", time.Time{}, content)
		return nil
	}
	// Nearly every request asks for all of it. ServeContent would copy what is
	// in memory piece by piece, and read what is within a file.
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = content.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("find size of media: %w", err)
	}
	h := w.Header()
	h["Accept-Ranges"] = bytesUnit
	h["Content-Length"] = []string{strconv.FormatInt(size, 10)}
	// An error from here on means that nobody reads the answer.
	if memory, ok := content.(*bytes.Reader); ok {
		_, _ = memory.WriteTo(w)
		return nil
	}
	from := &io.LimitedReader{R: content, N: size} // the form of which the kernel sends a file
	if section, ok := content.(*io.SectionReader); ok {
		outer, offset, _ := section.Outer()
		if file, ok := outer.(*os.File); ok {
			if _, err := file.Seek(offset, io.SeekStart); err == nil {
				from.R = file
			}
		}
	}
	_, _ = w.ReadFrom(from)
	return nil
}

// sendText answers with a text, whole.
func sendText(w *answer, status int, text []byte) {
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(status)
	_, _ = w.Write(text) // an error means that nobody reads it
}
