// Package app joins the parts to a server: it reads the settings, makes each
// part of those it leans on, starts them in that order and stops them in
// reverse.
//
//	lock → secrets → sockets → store → admin → S3 → recorder → RTMP(S) → broadcast → HTTP → ready
//	◀──────────────────────────────────────── stop ─────────────────────────────────────────────
//
// It is the only package that sees all the others.
package app
