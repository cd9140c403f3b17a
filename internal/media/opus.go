package media

const (
	// OpusRate is the clock of Opus, in samples a second (RFC 7587 §4.1).
	OpusRate = 48_000

	// The longest Opus packet, in samples (RFC 6716 §3.4 R5), and the longest frame, in
	// bytes (R2).
	longestOpus  = 5760
	maxOpusFrame = 1275
)

// OpusDuration is how long an Opus packet lasts, in samples of [OpusRate]: 120 to 5760,
// 0 if it is malformed by the rules of RFC 6716 §3.4.
func OpusDuration(packet []byte) Ticks {
	if len(packet) == 0 {
		return 0 // R1
	}
	toc, rest := packet[0], packet[1:]
	frame, frames := opusFrame(toc>>3), 1
	ok := false
	switch toc & 3 { // §3.2.2 to §3.2.5
	case 0:
		ok = len(rest) <= maxOpusFrame
	case 1:
		frames = 2
		ok = len(rest)%2 == 0 && len(rest)/2 <= maxOpusFrame // R3
	case 2:
		frames = 2
		var n int
		n, rest, ok = opusLength(rest)
		ok = ok && n <= len(rest) && len(rest)-n <= maxOpusFrame // R4
	case 3:
		frames, ok = opusFrames(rest)
	}
	duration := frame * Ticks(frames)
	if !ok || duration > longestOpus {
		return 0
	}
	return duration
}

// opusFrame is how long the frames of a configuration last (RFC 6716 table 2).
func opusFrame(config byte) Ticks {
	switch {
	case config < 12: // SILK
		return [...]Ticks{480, 960, 1920, 2880}[config%4]
	case config < 16: // hybrid
		return [...]Ticks{480, 960}[config%2]
	}
	return [...]Ticks{120, 240, 480, 960}[config%4] // CELT
}

// opusLength splits off a length (RFC 6716 §3.2.1).
func opusLength(b []byte) (n int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, nil, false
	case b[0] < 252:
		return int(b[0]), b[1:], true
	case len(b) == 1:
		return 0, nil, false
	}
	return int(b[0]) + 4*int(b[1]), b[2:], true
}

// opusFrames is how many frames there are in a packet of code 3 (RFC 6716 §3.2.5),
// which begins with b behind its TOC. It says whether the packet is well-formed (R5
// to R7), but for its duration.
func opusFrames(b []byte) (frames int, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	vbr, padded := b[0]&0x80 != 0, b[0]&0x40 != 0
	frames, b = int(b[0]&0x3F), b[1:]
	if frames == 0 {
		return 0, false
	}
	padding := 0
	for padded {
		if len(b) == 0 {
			return 0, false
		}
		n := int(b[0])
		b = b[1:]
		if padded = n == 255; padded {
			n = 254 // and more follow
		}
		padding += n
	}
	if !vbr {
		n := len(b) - padding
		return frames, n >= 0 && n%frames == 0 && n/frames <= maxOpusFrame
	}
	total := 0
	for range frames - 1 {
		n, rest, ok := opusLength(b)
		if !ok {
			return 0, false
		}
		total, b = total+n, rest
	}
	last := len(b) - padding - total
	return frames, last >= 0 && last <= maxOpusFrame
}
