// Package hls watches a live stream as players do, and says where it breaks a
// rule of Low-Latency HLS (RFC 8216bis), or of the media formats below it.
//
//	             ┌ reloads part by part ───┐
//	Checker.Run ─┼ delta updates           ├→ versions → rules ──┐
//	             ├ reloads by segments     │                     ├→ complaints
//	             ├ polls in every coding ──┘                     │
//	             └ hinted parts, parts, segments, inits → media ─┘
//
// What one reader sees is held against what the others saw: all versions of a
// playlist tell one story. Media is fetched when it is first told of, and again
// when the server is about to be allowed to forget it.
//
// Three things are asked for beyond the RFC, because this server promises them:
// media times go on across a discontinuity, sound covers its pictures, and
// program date and time is that of the server's clock.
package hls
