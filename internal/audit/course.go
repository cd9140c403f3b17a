package audit

import "time"

// course follows the media of a rendition from one object to the next.
//
//	playlist  │ piece │ piece │ GAP │ piece │ │ GAP │ │ piece …
//	media     ████████████▒         ████████          ███████
//
// A hole begins anywhere in a group of pictures, which nothing tells, and ends
// where one begins. Objects of which all is missing are passed over.
type course struct {
	*audit
	wrap time.Duration // as the reader's
	torn bool          // there may be holes
	next beginnings    // where the next object should begin
	set  bool          // next is known
	slip time.Duration // by how much it may differ: playlists are rounded
}

// lose lets the next object begin anywhere.
func (c *course) lose() { c.set = false }

// pass goes on behind media of which the playlist tells.
func (c *course) pass(d time.Duration) {
	c.next = c.next.plus(d)
	c.slip += time.Millisecond / 2
}

// check checks where an object begins and goes on, and returns where it would
// have begun without a hole; nowhere, if that cannot be known.
func (c *course) check(name string, o *Object, begin beginnings, holes []time.Duration) beginnings {
	if begin.decoded == absent && begin.heard == absent {
		c.lose()
		return nowhere
	}
	offset, told := o.first()
	exact := told || !c.torn
	if late, ok := begin.behind(c.next, c.wrap); ok && c.set {
		slip := c.slip + tolerance(begin)
		switch off := late - offset; {
		case !exact && late >= -slip && late < o.Duration:
			offset, exact = max(late, 0), true
		case c.torn && !begin.key && begin.decoded != absent && off >= -slip && off <= maxLate:
			offset = late
		case off.Abs() > slip:
			c.problem(MediaGap, name, "it begins %v %s the end of the object before", off.Abs().Round(time.Millisecond), side(off))
		}
	} else if c.torn && !begin.key && begin.decoded != absent {
		exact = false
	}
	if begin.heard != absent && begin.decoded != absent {
		// An object that begins amid a group of pictures does not show first
		// what it decodes first.
		early := around(begin.heard-begin.decoded, c.wrap)
		late := around(begin.heard-begin.shown, c.wrap)
		if skew := max(late, 0) + min(early, 0); skew.Abs() > maxSkew {
			c.problem(MediaSkew, name, "its sound begins %v %s its pictures", skew.Abs().Round(time.Millisecond), side(skew))
		}
	}
	start := begin.plus(-offset)
	zero := start.decoded
	if zero == absent {
		zero = start.heard
	}
	for _, at := range holes {
		if told && !o.begins(around(at-zero, c.wrap)) {
			c.problem(MediaGap, name, "behind a hole it goes on amid a group of pictures")
		}
	}
	if !exact {
		c.lose()
		return nowhere
	}
	c.next, c.set, c.slip = start.plus(o.Duration), true, 0
	return start
}

// first is how much later than the object its media begins; false where the byte
// ranges do not tell.
func (o *Object) first() (sum time.Duration, told bool) {
	for _, p := range o.pieces {
		if !p.gap {
			break
		}
		sum += p.duration
	}
	return sum, len(o.pieces) > 0
}

// begins says whether a piece with media begins so long after the object.
func (o *Object) begins(at time.Duration) bool {
	sum := time.Duration(0)
	for _, p := range o.pieces {
		if !p.gap && (at-sum).Abs() <= maxSkew { // it may be sound, which lies in a grid
			return true
		}
		sum += p.duration
	}
	return false
}
