package apitest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// List is an operation that lists, and how its items come and go.
type List struct {
	Operation string
	Query     string // members that narrow it, each with a comma behind it
	Items, ID string // members of the answer
	Make      func() (id string)
	Remove    func(id string) // nil: they stay
}

// page reads a page of a list.
func (s *Server) page(l List, size int, token string) (ids []string, next string) {
	s.Helper()
	status, _, answer := s.Post(l.Operation, fmt.Sprintf(`{%s"maxResults":%d,"nextToken":"%s"}`, l.Query, size, token))
	items, ok := answer[l.Items].([]any)
	if status != http.StatusOK || !ok {
		s.Fatalf("%s: %v", l.Operation, answer)
	}
	for _, item := range items {
		id, _ := item.(map[string]any)[l.ID].(string)
		ids = append(ids, id)
	}
	next, _ = answer["nextToken"].(string)
	return ids, next
}

// Pages checks that, whatever comes and goes between the pages of a list, each item that was there
// all the while is told once.
func Pages(t *testing.T, server *Server, lists []List) {
	for _, l := range lists {
		t.Run(strings.TrimSpace(l.Operation+" "+l.Query), func(t *testing.T) {
			var there []string
			for range 8 {
				there = append(there, l.Make())
			}
			var told []string
			for pages, next := 0, ""; ; pages++ {
				var ids []string
				ids, next = server.page(l, 2, next)
				if len(ids) > 2 || len(ids) < 2 && next != "" {
					t.Errorf("page %d has %d items", pages, len(ids))
				}
				told = append(told, ids...)
				if next == "" {
					break
				}
				if pages > 20 {
					t.Fatal("no end")
				}
				if pages < 3 {
					l.Make()
				}
				// Those that go are one that was told, the place of the token, and
				// one that was not.
				if l.Remove != nil && pages < 2 {
					gone := there[4+pages]
					if pages == 0 {
						gone = told[len(told)-1]
					}
					l.Remove(gone)
					there = slices.DeleteFunc(there, func(id string) bool { return id == gone })
				}
			}
			for _, id := range there {
				if n := count(told, id); n != 1 {
					t.Errorf("%s was told %d times in %v", id, n, told)
				}
			}
			for _, id := range told {
				if count(told, id) != 1 {
					t.Errorf("%s was told %d times", id, count(told, id))
				}
			}
		})
	}
}

func count(list []string, item string) (n int) {
	for _, i := range list {
		if i == item {
			n++
		}
	}
	return n
}

// Tokens checks that a token leads on in the list that it was given for, with any
// page size, and in no other. Lists that nothing makes items of are others only.
func Tokens(t *testing.T, server *Server, lists []List) {
	for _, l := range lists {
		for range 3 {
			if l.Make != nil {
				l.Make()
			}
		}
	}
	for i, from := range lists {
		if from.Make == nil {
			continue
		}
		first, token := server.page(from, 1, "")
		if token == "" || len(token) > 1024 {
			t.Fatalf("%s %s has the token %q", from.Operation, from.Query, token)
		}
		if second, _ := server.page(from, 2, token); slices.Contains(second, first[0]) {
			t.Errorf("%s tells %s again", from.Operation, first[0])
		}
		for j, to := range lists {
			if i == j {
				continue
			}
			_, exception, answer := server.Post(to.Operation, `{`+to.Query+`"nextToken":"`+token+`"}`)
			if exception != "ValidationException" || answer["message"] != "nextToken: is not a token of this list" {
				t.Errorf("a token of %s %s for %s %s: %s %v", from.Operation, from.Query, to.Operation, to.Query, exception, answer)
			}
		}
		for _, bad := range []string{token[1:], token[:len(token)-1], token + "A", token + token, strings.ToUpper(token), "MA==", "A" + token[1:] + "="} {
			_, exception, answer := server.Post(from.Operation, `{`+from.Query+`"nextToken":"`+bad+`"}`)
			if exception != "ValidationException" || answer["message"] != "nextToken: is not a token of this list" {
				t.Errorf("the token %s changed to %s: %s %v", token, bad, exception, answer)
			}
		}
	}
}
