package disktest

import (
	"maps"
	"slices"
)

// block is what a disk writes at once.
const block = 4096

// PowerCut stops the disk and returns it as the machine may find it afterwards.
// What was synced is there. Of the rest:
//
//   - A name, made, removed or given to another file, is as before or as after.
//     A rename is both of its names at once.
//   - A file has some of the bytes written since, to an end anywhere. Or it has
//     the size, but zeros for some of the blocks: with delayed allocation ext4
//     and XFS may store a size before the data. Or the data without the size:
//     what was cut off is there again.
func (d *Disk) PowerCut() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	lost := make(map[setting]bool) // but for what is set
	d.settle(func(c change) bool {
		survives := d.random.IntN(2) == 0
		for _, s := range c {
			survives = survives && !lost[setting{s.in, s.name, nil}]
		}
		if !survives {
			for _, s := range c {
				lost[setting{s.in, s.name, nil}] = true
			}
		}
		return survives
	})
	next := &Disk{random: d.random}
	next.root = d.found(d.root, make(map[any]any)).(*folder)
	return next
}

// settle makes those changes of names durable that pick says, and those before
// them that have a name with them in common.
func (d *Disk) settle(pick func(change) bool) {
	picked := make([]bool, len(d.renames))
	for i, c := range d.renames {
		picked[i] = pick(c)
	}
	needed := make(map[setting]bool)
	for i, c := range slices.Backward(d.renames) {
		for _, s := range c {
			picked[i] = picked[i] || needed[setting{s.in, s.name, nil}]
		}
		for _, s := range c {
			if picked[i] {
				needed[setting{s.in, s.name, nil}] = true
			}
		}
	}
	var left []change
	for i, c := range d.renames {
		if !picked[i] {
			left = append(left, c)
			continue
		}
		for _, s := range c {
			if s.to == nil {
				delete(s.in.durable, s.name)
			} else {
				s.in.durable[s.name] = s.to
			}
		}
	}
	d.renames = left
}

// found is what a power cut leaves of a folder or file; copies are those found
// already, under another name.
func (d *Disk) found(at any, copies map[any]any) any {
	if c, ok := copies[at]; ok {
		return c
	}
	switch at := at.(type) {
	case *folder:
		c := newFolder()
		copies[at] = c
		for _, name := range slices.Sorted(maps.Keys(at.durable)) {
			c.names[name] = d.found(at.durable[name], copies)
		}
		c.durable = maps.Clone(c.names)
		return c
	case *file:
		content := d.remains(at)
		c := &file{data: content, durable: slices.Clone(content)}
		copies[at] = c
		return c
	}
	return nil
}

// remains is what a power cut leaves of a file.
func (d *Disk) remains(f *file) []byte {
	content := slices.Clone(f.durable)
	if len(f.writes) == 0 {
		return content
	}
	n := d.random.IntN(len(f.writes) + 1) // are whole
	for _, w := range f.writes[:n] {
		content = w.apply(content)
	}
	rest := f.writes[n:]
	if len(rest) == 0 {
		return content
	}
	if d.random.IntN(2) == 0 { // torn
		if w := rest[0]; !w.truncate {
			w.data = w.data[:d.random.IntN(len(w.data)+1)]
			content = w.apply(content)
		}
		return content
	}
	blank := make(map[int64]bool)
	for _, w := range rest {
		if w.truncate && w.at < int64(len(content)) && d.random.IntN(2) == 0 {
			continue
		}
		whole := w.apply(slices.Clone(content))
		for at := w.at / block * block; at < w.at+int64(len(w.data)); at += block {
			if _, ok := blank[at]; !ok {
				blank[at] = d.random.IntN(2) == 0
			}
			if !blank[at] {
				continue
			}
			from, to := max(at, w.at), min(at+block, w.at+int64(len(w.data)))
			clear(whole[from:to])
			if from < int64(len(content)) {
				copy(whole[from:to], content[from:])
			}
		}
		content = whole
	}
	return content
}
