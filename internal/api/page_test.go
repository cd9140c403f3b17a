package api

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

// numbers lists 0 to 9.
func numbers(p resource.Page) (items []int, next string, err error) {
	first, _ := strconv.Atoi(p.After)
	for n := first; n < 10 && len(items) < p.Size; n++ {
		items = append(items, n)
	}
	if last := first + len(items); last < 10 {
		next = strconv.Itoa(last)
	}
	return items, next, nil
}

func TestList(t *testing.T) {
	sealer := auth.NewSealer([]byte("key"))
	l := Listing{Operation: "ListNumbers", Query: "all", Size: 4}
	var pages [][]int
	for {
		items, next, err := List(sealer, l, numbers)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, items)
		if next == "" {
			break
		}
		if !regexp.MustCompile(`^[a-zA-Z0-9+/=_-]+$`).MatchString(next) || len(next) > 1024 {
			t.Errorf("token %q", next)
		}
		l.NextToken = next
	}
	if len(pages) != 3 || len(pages[0]) != 4 || len(pages[1]) != 4 || len(pages[2]) != 2 || pages[2][1] != 9 {
		t.Errorf("pages %v", pages)
	}

	// The size may change on the way; nothing else may.
	l.Size = 1
	if _, _, err := List(sealer, l, numbers); err != nil {
		t.Error(err)
	}
	bad := map[string]func(*Listing){
		"another operation": func(l *Listing) { l.Operation = "ListLetters" },
		"another query":     func(l *Listing) { l.Query = "some" },
		"a token made up":   func(l *Listing) { l.NextToken = "8" },
		"a token changed":   func(l *Listing) { l.NextToken = strings.ToUpper(l.NextToken) },
	}
	for name, change := range bad {
		other := l
		change(&other)
		_, _, err := List(sealer, other, numbers)
		var e *resource.Error
		if !errors.As(err, &e) || e.Kind != resource.Invalid || !strings.HasPrefix(e.Msg, "nextToken: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range l.NextToken {
		for _, c := range []string{"A", "B", "_"} {
			other := l
			if other.NextToken = l.NextToken[:i] + c + l.NextToken[i+1:]; other.NextToken == l.NextToken {
				continue
			}
			if _, _, err := List(sealer, other, numbers); err == nil {
				t.Errorf("a token with %s at %d was taken", c, i)
			}
		}
	}
	if _, _, err := List(auth.NewSealer([]byte("another key")), l, numbers); err == nil {
		t.Error("a token of another server was taken")
	}
}
