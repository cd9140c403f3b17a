// Package resource has the nouns of the API and their rules: channels, stream
// keys, recording configurations, who may watch, ad configurations, streams,
// recordings, stages, participants and events.
//
// The JSON names are those of the IVS API, so a value reads the same on the
// wire, in a stored snapshot and in a test. What depends on where the server
// listens (endpoints and URLs) is filled in by package api when it answers.
package resource

import "time"

// Tags are a resource's labels: at most 50, keys of 1–128 characters, values
// of up to 256.
type Tags map[string]string

// Page asks for part of a list: at most Size items (1–100) behind the opaque
// position After, which the list's last answer gave; empty means from the
// start. Positions stay true when items come and go.
type Page struct {
	Size  int
	After string
}

// Time cuts t to the whole second, in UTC: how the API tells times.
func Time(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
