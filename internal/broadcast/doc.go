// Package broadcast keeps channels on air.
//
//	publisher → Feed ┬ clock ┬→ packager.Cutter ──chunks→ collector → outlet ┬→ packager.Window → players
//	                 │       └→ transcode.Ladder ─frames→ followers ↗        └→ recorder.Take → objects
//	                 └ session and its events → Sessions
//
// Two lives are told apart. A stream is one publisher's stay: it has an id, a
// session and a [Feed], and ends with its connection. A [Broadcast] is what
// viewers watch: it begins with a channel's first stream, goes on through
// reconnects and restarts of the server, and ends when the publisher has
// stayed away for longer than the recording's reconnect window and the grace
// of the live playlist. All its streams share one timeline that never goes
// back: the first picture after a join begins where the last one ended.
//
// Who may publish is decided in [Manager.Publish]. A second connection with
// the right key is held for a moment: if the first still delivers media the
// newcomer is refused, if not, it takes over. So an encoder whose connection
// died silently gets back on air at once, and nobody pushes a healthy one off.
//
// A broadcast has one or more renditions. The lead is what the publisher sends. Its
// chunks are the skeleton of all others: these are cut like it, numbered like it
// and dated like it, even where viewers are not offered the lead itself. What the
// transcoder makes of a chunk comes some time after it, so a [collector] holds the
// chunk back until all of it is there. Then one call publishes it everywhere. Who
// is late, by 0.7 s, has a gap there; the others never have one for it. Where
// nothing is transcoded, chunks pass through on the publisher's goroutine.
//
// Mutexes are taken in this order: the feed's, its collector's, the broadcast's.
//
// A stream is watched in two ways. What it may not exceed is counted as it
// comes (limits.go) and ends it. How well it arrives is looked at once a second
// (health.go) and told, until thirty seconds of silence or two days end it.
package broadcast
