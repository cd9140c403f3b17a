package api

// None is the answer that has no members.
type None struct{}

// Tell makes what is told of a list's items.
func Tell[T, U any](items []T, f func(*T) U) []U {
	told := make([]U, len(items))
	for i := range items {
		told[i] = f(&items[i])
	}
	return told
}

// Assign sets to what was given, if anything was.
func Assign[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}
