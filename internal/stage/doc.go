// Package stage keeps rooms: who is in which stage, who publishes, who sees whom.
//
//	token → Manager ─→ room ─→ participant ┬ Listener      → snapshots of the room
//	                                       ├ publication   → Source ─┐
//	                                       └ subscriptions ←─────────┘ of others
//	                     ├→ Ledger: joined, published, left, each with its events
//	                     └→ Recorder: each publication of a stage that is recorded
//
// A [participant] is one token's stay. It is in the room while it has any of an
// events socket, a publication and a subscription, each of which may come and go
// by itself, and it has left five seconds after the last of them ended. So who
// reconnects at once has never been away: its [rtc.Source] is the same, and so
// are the subscriptions of the others. Of each kind a token has one connection:
// the newest wins.
//
// A stage's session is a run of such stays. It begins with the first one and
// ends a minute after the last, or with the stage.
//
// What happens is stored before it is told. Each room has a queue of what is to be
// stored, and one goroutine that stores it, in order, as often as it takes. Who
// joins waits for it. Nobody else does: a database that is away holds up what the
// room is told of, never its media. No mutex is held meanwhile.
package stage
