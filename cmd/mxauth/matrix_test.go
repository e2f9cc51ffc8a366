package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A matrix has servers as rows and behaviours as columns. What it should say is
// read from docs/servers.md, so that what users read is what was seen.
type matrix struct {
	columns []string
	rows    []string
	want    map[string]string // by row and column

	mu   sync.Mutex
	seen map[string]string
}

func cellKey(row, column string) string { return row + "\x00" + column }

// readMatrix reads the one table of docs/servers.md whose first column is called
// "server".
func readMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{want: map[string]string{}, seen: map[string]string{}}
	for line := range strings.Lines(read(t, filepath.Join("..", "..", "docs", "servers.md"))) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case m.columns == nil && cells[0] == "server":
			m.columns = cells[1:]
		case m.columns != nil && len(cells) != len(m.columns)+1:
			return m // the table is over
		case m.columns != nil && !strings.HasPrefix(cells[0], "-"):
			m.rows = append(m.rows, cells[0])
			for i, c := range m.columns {
				m.want[cellKey(cells[0], c)] = cells[i+1]
			}
		}
	}
	t.Fatal("docs/servers.md has no table of servers with something after it")
	return nil
}

// see notes what a server did, and holds it against what it should.
func (m *matrix) see(t *testing.T, row, column, cell string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.columns, column) {
		t.Fatalf("docs/servers.md has no column %q", column)
	}
	m.seen[cellKey(row, column)] = cell
	if want, known := m.want[cellKey(row, column)]; known && want != cell {
		t.Errorf("%s, %s: %q, and docs/servers.md says %q", row, column, cell, want)
	} else if !known && row != ownServerName {
		t.Errorf("docs/servers.md has no row %q", row)
	}
}

// String is the matrix as it was seen, with the rows of the page first.
func (m *matrix) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := slices.Clone(m.rows)
	for key := range m.seen {
		if row, _, _ := strings.Cut(key, "\x00"); !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	var b strings.Builder
	line := func(first string, cell func(column string) string) {
		fmt.Fprintf(&b, "| %-29s |", first)
		for _, c := range m.columns {
			fmt.Fprintf(&b, " %-12s |", cell(c))
		}
		b.WriteByte('\n')
	}
	line("server", func(column string) string { return column })
	for _, row := range rows {
		line(row, func(column string) string {
			if cell := m.seen[cellKey(row, column)]; cell != "" {
				return cell
			}
			return "not run"
		})
	}
	return b.String()
}
