// Package packager turns frames into the bytes that players and recordings hold.
package packager
