package apitest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"anabranch/internal/api"
)

// members adds the rows of a struct's members.
func (c *constraints) members(at path, t reflect.Type) {
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous {
			continue
		}
		p := at.then(field.Tag.Get("json"))
		words := strings.Split(field.Tag.Get("shape"), ",")
		inPath, inQuery := slices.Contains(words, "path"), slices.Contains(words, "query")
		switch required := slices.Contains(words, "required"); {
		case inPath: // is always there
		case required && inQuery:
			c.refuses(p, "required", absent{})
		case required:
			c.refuses(p, "required", absent{}, nil)
		default:
			c.takes(p, absent{}, nil)
		}
		c.value(p, field.Type, words[0], inPath || inQuery)
	}
}

// value adds the rows of a value of a type and a shape. One that is text, in a
// path or a query, has no type.
func (c *constraints) value(p path, t reflect.Type, name string, text bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	shape, known := c.shapes[name]
	var types = map[string]any{"true or false": true, "a number": 7, "a string": "x", "a list": []any{}, "an object": map[string]any{}}
	wrongTypes := func(right string) {
		for name, v := range types {
			if !strings.HasSuffix(right, strings.TrimPrefix(name, "a ")) && !text {
				c.refuses(p, "must be "+right, v)
			}
		}
	}
	switch t.Kind() {
	case reflect.Bool:
		wrongTypes("true or false")
		c.takes(p, true, false)
	case reflect.Int:
		wrongTypes("a whole number")
		c.refuses(p, "must be a whole number", json.RawMessage("1.5"), json.RawMessage("1.0"), json.RawMessage("1e1"),
			json.RawMessage("99999999999999999999"), json.RawMessage("-99999999999999999999"))
		c.refuses(p, "must be ", shape.Min-1, math.MinInt)
		c.takes(p, shape.Min)
		if shape.Max > 0 {
			c.refuses(p, "must be ", shape.Max+1, math.MaxInt)
			c.takes(p, shape.Max)
		}
	case reflect.Float64:
		wrongTypes("a number")
		c.refuses(p, "must be a number", json.RawMessage("1e400"))
		c.refuses(p, "must be ", float64(shape.Min)-0.001, -math.MaxFloat64, float64(shape.Max)+0.001, math.MaxFloat64)
		c.takes(p, shape.Min, float64(shape.Min)+0.001, float64(shape.Max)-0.001, shape.Max)
	case reflect.String:
		wrongTypes("a string")
		c.strings(shape, name, c.example(p).(string),
			func(want string, v string) { c.refuses(p, want, v) }, func(v string) { c.takes(p, v) })
	case reflect.Slice:
		wrongTypes("a list")
		c.list(p, shape, t, text)
	case reflect.Map:
		wrongTypes("an object")
		c.dictionary(p, shape, t)
	case reflect.Struct:
		wrongTypes("an object")
		c.members(p, t)
		return
	}
	if !known && t.Kind() != reflect.Bool {
		c.Fatalf("%s of %s has the unknown shape %q", p, c.operation.Name, name)
	}
}

// list adds the rows of a list: of its length, and of its last item.
func (c *constraints) list(p path, shape api.Shape, t reflect.Type, text bool) {
	example := c.example(p).([]any)
	items := func(n int) any {
		list := make([]any, n)
		for i := range list {
			list[i] = example[i%len(example)]
		}
		return list
	}
	if shape.Min > 0 {
		c.refuses(p, "must have ", items(shape.Min-1))
	}
	if !text || shape.Min > 0 { // a query cannot tell an empty list
		c.takes(p, items(shape.Min))
	}
	if shape.Max > 0 {
		c.refuses(p, "must have ", items(shape.Max+1))
		c.takes(p, items(shape.Max))
	}
	last := p.then(len(example) - 1)
	if !text {
		c.refuses(last, "must be ", nil)
	}
	c.value(last, t.Elem(), shape.Of, text)
}

// dictionary adds the rows of a map: of its size, of a key and of its value.
func (c *constraints) dictionary(p path, shape api.Shape, t reflect.Type) {
	entries := func(n int) any {
		m := make(map[string]any)
		for i := range n {
			m[fmt.Sprint("key", i)] = "x"
		}
		return m
	}
	c.takes(p, entries(shape.Min))
	if shape.Max > 0 {
		c.takes(p, entries(shape.Max))
		c.refuses(p, "must have ", entries(shape.Max+1))
	}

	key := "key"
	c.strings(c.shapes[shape.Keys], shape.Keys, key,
		func(want string, v string) {
			c.rows = append(c.rows, row{path: p, value: map[string]any{v: "x"}, want: fmt.Sprintf("%s key %.40q: %s", p, v, want)})
		}, func(v string) { c.takes(p, map[string]any{v: "x"}) })

	one := p.then(key)
	c.refuses(one, "must be ", nil)
	c.value(one, t.Elem(), shape.Of, false)
}

// strings tells what breaks the constraints of a string, and what is just
// within them.
func (c *constraints) strings(shape api.Shape, name, example string, refuse func(want, value string), take func(value string)) {
	if shape.Enum != nil {
		for _, v := range shape.Enum {
			take(v)
			refuse("must be one of ", strings.ToLower(v))
			refuse("must be one of ", v+" ")
		}
		refuse("must be one of ", "")
		return
	}
	whole := regexp.MustCompile(`\A(?:` + shape.Pattern + `)\z`)
	matches := func(s string) bool { return shape.Pattern == "" || whole.MatchString(s) }
	if shape.Min > 0 {
		refuse("length must be ", cut(example, shape.Min-1))
	}
	take(c.shortest(shape, example, matches))
	if shape.Max > 0 {
		refuse("length must be ", pad(example, shape.Max+1, "a"))
		longest := pad(example, shape.Max, "a")
		if known, ok := c.Longest[name]; ok {
			longest = known
		}
		if !matches(longest) || utf8.RuneCountInString(longest) != shape.Max {
			c.Fatalf("%q is no %s of %d characters: write one into Longest", longest, name, shape.Max)
		}
		take(longest)
		// A letter that is four bytes of UTF-8 and two units of UTF-16 is one.
		if wide := pad("", shape.Max, "\U00020000"); shape.Pattern != "" && matches(wide) {
			take(wide)
			refuse("length must be ", wide+"a")
		}
	}
	if shape.Pattern == "" {
		return
	}
	broken := 0
	longest := shape.Max
	if longest == 0 {
		longest = math.MaxInt
	}
	short := cut(example, longest-1)
	for _, v := range []string{
		short + "*", short + "\n", short + "\x00", short + "\u00a0\u0301", "*" + short, "\n" + short,
		example + "*", example + "\n", example + ":", example + "/x", "x" + example, example + " " + example, strings.ToUpper(example), "x",
	} {
		if n := utf8.RuneCountInString(v); !matches(v) && n >= shape.Min && n <= longest {
			refuse("must match ", v)
			broken++
		}
	}
	if broken == 0 {
		c.Fatalf("nothing that breaks the pattern %s of %s is known", shape.Pattern, name)
	}
}

// shortest is a string of a shape that is as short as the shape has it.
func (c *constraints) shortest(shape api.Shape, example string, matches func(string) bool) string {
	for _, s := range []string{cut(example, shape.Min), pad("", shape.Min, "a")} {
		if matches(s) {
			return s
		}
	}
	re, err := syntax.Parse(shape.Pattern, syntax.Perl)
	if err != nil {
		c.Fatal(err)
	}
	s := shortest(re) // the pattern needs more than the length does
	if !matches(s) || utf8.RuneCountInString(s) <= shape.Min {
		c.Fatalf("%q is not the shortest match of %s", s, shape.Pattern)
	}
	return s
}

// shortest is a shortest string that re matches.
func shortest(re *syntax.Regexp) string {
	var parts []string
	for _, sub := range re.Sub {
		parts = append(parts, shortest(sub))
	}
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(re.Rune[:1])
	case syntax.OpPlus, syntax.OpConcat, syntax.OpCapture:
		return strings.Join(parts, "")
	case syntax.OpAlternate:
		return slices.MinFunc(parts, func(a, b string) int { return len(a) - len(b) })
	}
	return "" // an anchor, or what may be left out
}

// cut is the first n characters of s.
func cut(s string, n int) string {
	r := []rune(s)
	return string(r[:min(n, len(r))])
}

// pad is s with fill behind it, up to n characters.
func pad(s string, n int, fill string) string {
	return cut(s, n) + strings.Repeat(fill, max(0, n-utf8.RuneCountInString(s)))
}
