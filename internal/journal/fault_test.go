package journal_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"anabranch/internal/disk"
	"anabranch/internal/disk/disktest"
	"anabranch/internal/journal"
)

// diary writes a log and knows what it may hold.
type diary struct {
	t    *testing.T
	disk *disktest.Disk
	log  *journal.Log
	// has are the records it holds for sure while the process lives, synced of
	// them for sure after a power cut. may are other lists of records that it
	// may hold as well.
	has    []string
	synced int
	may    [][]string
}

// open opens the log and returns its records; false when the disk would not.
func (d *diary) open(fs disk.FS) (recs []string, ok bool) {
	d.t.Helper()
	log, err := journal.Open(fs, "data/log", func(rec []byte) error {
		recs = append(recs, string(rec))
		return nil
	})
	if err != nil && !errors.Is(err, disktest.ErrStopped) && !errors.Is(err, syscall.EIO) {
		d.t.Fatal(err)
	}
	d.log = log
	return recs, err == nil
}

func (d *diary) append(rec string) {
	next := append(slices.Clone(d.has), rec)
	switch err := d.log.Append([]byte(rec)); {
	case err == nil:
		d.has = next
		for i := range d.may {
			d.may[i] = append(slices.Clone(d.may[i]), rec)
		}
	case errors.Is(err, disktest.ErrStopped):
		d.may = append(d.may, next)
	}
}

func (d *diary) sync() {
	if d.log.Sync() == nil {
		d.synced = len(d.has)
	}
}

func (d *diary) rewrite(recs ...string) {
	var all [][]byte
	for _, rec := range recs {
		all = append(all, []byte(rec))
	}
	if d.log.Rewrite(all) == nil {
		d.has, d.synced, d.may = recs, len(recs), nil
	} else {
		d.may = append(d.may, recs)
	}
}

// write is a life of a log.
func (d *diary) write() {
	recs, ok := d.open(d.disk)
	if !ok {
		return
	}
	d.check("at the start", recs, false)
	d.has, d.synced, d.may = recs, 0, nil
	d.sync()
	if d.disk.SyncDir("data") != nil {
		d.synced = 0
	}
	d.append("one")
	d.append(strings.Repeat("a second record ", 1000))
	d.sync()
	d.append("three")
	d.rewrite("one and two", "three")
	d.append("four")
	d.append("five")
	d.sync()
	d.append("six")
	d.log.Close()
}

// check checks the records that are there after the power was cut, or not.
func (d *diary) check(when string, recs []string, cut bool) {
	d.t.Helper()
	for _, whole := range append([][]string{d.has}, d.may...) {
		if slices.Equal(recs, whole) {
			return
		}
		if n := len(recs); cut && n >= min(d.synced, len(whole)) && n < len(whole) && slices.Equal(recs, whole[:n]) {
			return
		}
	}
	d.t.Fatalf("%s: the log holds %.200q\nwant %.200q, of which %d are synced, or %.200q", when, recs, d.has, d.synced, d.may)
}

// Wherever the process or the machine stops, amid an append, a rewrite or the
// opening after the last stop, the log holds all that it must and nothing else.
func TestStopAtEveryStep(t *testing.T) {
	for _, cut := range []bool{false, true} {
		for again := range 2 { // how often it stops, but once
			for n, more := 1, true; more; n++ {
				for seed := range uint64(4) {
					d := &diary{t: t, disk: disktest.New(seed)}
					d.disk.MkdirAll("data", 0o700)
					d.disk.SyncDir("")
					for life := range again + 1 {
						stop := d.disk.Ops() + 1 + (n-1)/(life*3+1)
						d.disk.SetFault(func(op disktest.Op) error {
							if op.N < stop {
								return nil
							}
							return disktest.ErrStopped
						})
						d.write()
						_, err := d.disk.Stat("data")
						more = errors.Is(err, disktest.ErrStopped)
						next := d.disk.Kill()
						if cut {
							next = d.disk.PowerCut()
						}
						d.disk = next
						recs, ok := d.open(d.disk)
						if !ok {
							t.Fatal("the log cannot be opened")
						}
						d.check(fmt.Sprintf("seed %d, stopped at %d, cut %v, life %d", seed, n, cut, life), recs, cut)
						d.log.Close()
						d.has, d.synced, d.may = recs, 0, nil
					}
				}
				if n > 200 {
					t.Fatal("it never ends")
				}
			}
		}
	}
}

// An operation that fails leaves the log as it was, and what comes later is
// written.
func TestFailAtEveryStep(t *testing.T) {
	for _, errno := range []error{syscall.EIO, syscall.ENOSPC} {
		for count := 1; count <= 4; count++ {
			for n := 1; n < 40; n++ {
				for seed := range uint64(2) {
					d := &diary{t: t, disk: disktest.New(seed)}
					d.disk.MkdirAll("data", 0o700)
					d.disk.SetFault(func(op disktest.Op) error {
						if op.N > n && op.N <= n+count && op.Name != "read" && op.Name != "create" {
							return errno
						}
						return nil
					})
					d.write()
					d.disk.SetFault(nil)
					recs, ok := d.open(d.disk)
					if !ok {
						t.Fatal("the log cannot be opened")
					}
					d.check(fmt.Sprintf("%d failures from %d on", count, n), recs, false)
				}
			}
		}
	}
}

// What follows a broken record is gone for good: it does not come back behind
// new records, not even by a power cut.
func TestCutForGood(t *testing.T) {
	for seed := range uint64(50) {
		d := &diary{t: t, disk: disktest.New(seed)}
		d.disk.MkdirAll("data", 0o700)
		d.disk.SyncDir("")
		d.open(d.disk)
		for _, rec := range []string{"one", "two", "old"} {
			d.append(rec)
		}
		d.sync()
		d.disk.SyncDir("data")
		file, err := d.disk.OpenFile("data/log", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt([]byte("?"), d.log.Size()/3+8)
		file.Sync()

		recs, _ := d.open(d.disk)
		if !slices.Equal(recs, []string{"one"}) {
			t.Fatalf("the log holds %q", recs)
		}
		d.append("new")
		d.disk = d.disk.Kill()
		if seed%2 == 0 {
			d.disk = d.disk.PowerCut()
		}
		if recs, _ = d.open(d.disk); slices.Contains(recs, "old") {
			t.Fatalf("seed %d: the log holds %q", seed, recs)
		}
	}
}
