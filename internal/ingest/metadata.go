package ingest

import (
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/bluenviron/gortmplib/pkg/amf0"
)

// metadata is what a publisher claims about its stream in onMetaData (FLV
// E.5). What is missing or makes no sense is zero. The picture's size is not
// among it: the codec's headers tell it better.
type metadata struct {
	encoder      string
	frameRate    float64 // a second
	videoBitrate int     // bit/s
	audioBitrate int     // bit/s
	noAudio      bool    // says that no audio will come
}

// parseMetadata reads a data message. It is false when that is not metadata.
func parseMetadata(body []byte) (m metadata, ok bool) {
	values, err := decodeAMF0(body)
	if err != nil {
		return m, false
	}
	if len(values) > 0 && values[0] == "@setDataFrame" {
		values = values[1:]
	}
	if len(values) < 2 || values[0] != "onMetaData" {
		return m, false
	}
	fields, ok := object(values[1])
	if !ok {
		return m, false
	}
	encoder, _ := fields.GetString("encoder")
	hasAudio, told := fields.Get("hasAudio")
	return metadata{
		encoder:      label(encoder),
		frameRate:    number(fields, "framerate", 1000),
		videoBitrate: int(1000 * number(fields, "videodatarate", 1e6)),
		audioBitrate: int(1000 * number(fields, "audiodatarate", 1e6)),
		noAudio:      told && hasAudio == false,
	}, true
}

// number is a field above 0 and up to limit, else 0. Some encoders write
// numbers as strings.
func number(fields amf0.Object, key string, limit float64) float64 {
	v, ok := fields.GetFloat64(key)
	if !ok {
		s, _ := fields.GetString(key)
		v, _ = strconv.ParseFloat(strings.TrimSpace(s), 64)
	}
	if math.IsNaN(v) || v <= 0 || v > limit {
		return 0
	}
	return v
}

// label makes s, which comes from outside, fit for logs and API answers: valid,
// printable and at most 128 characters.
func label(s string) string {
	kept := 0
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if kept == 128 || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		kept++
		return r
	}, s))
}
