package packager

import (
	"bytes"
	"compress/gzip"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
)

// Coding is a content coding (RFC 9110 §8.4.1).
type Coding uint8

// The content codings of playlists.
const (
	Identity Coding = iota
	Gzip
	Brotli
	codings // how many there are
)

// encoder is what all coders of a playlist have in common.
type encoder interface {
	io.WriteCloser
	Reset(io.Writer)
}

// encoders are used again, as each holds most of a megabyte.
var encoders = [codings]sync.Pool{
	Gzip: {New: func() any { return gzip.NewWriter(nil) }},
	// A minute of playlist is a sixth smaller than by gzip, for the same time.
	// Quality 4 and above take two and more times as long and save a percent or
	// two.
	Brotli: {New: func() any { return brotli.NewWriterLevel(nil, 3) }},
}

// encode puts text into the coding, which is not [Identity].
func (c Coding) encode(text []byte) []byte {
	var b bytes.Buffer
	e := encoders[c].Get().(encoder)
	defer encoders[c].Put(e)
	e.Reset(&b)
	_, _ = e.Write(text) // a bytes.Buffer takes everything
	_ = e.Close()
	return b.Bytes()
}
