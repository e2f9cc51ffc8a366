package model

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mxauth/mxauth/keystore/keystoretest/disk"
)

// This file tells moments apart. Two with one key go on alike, so one of them is
// enough.

// key tells two moments apart that can go on differently. Where processes do the
// same, it makes no difference which of them is called A.
func (w *world) key() uint64 { return w.keyWithout(nil, w.budget) }

// keyWithout is the key of the moment in which a process has been killed.
func (w *world) keyWithout(gone *process, budget int) uint64 {
	k := w.keyOf(w.procs, gone, budget)
	if w.alike() {
		k = min(k, w.keyOf([]*process{w.procs[1], w.procs[0]}, gone, budget))
	}
	return k
}

func (w *world) alike() bool {
	return len(w.procs) == 2 && len(w.scripts) == 2 && slices.Equal(w.scripts[0], w.scripts[1])
}

// keyOf is the key as if the processes were called in this order.
func (w *world) keyOf(order []*process, gone *process, budget int) uint64 {
	h := fnv.New64a()
	holders := map[*disk.Process]int{}
	for i, p := range order {
		dead := p.dead || p == gone
		if dead {
			_, _ = fmt.Fprintf(h, "dead %t\n", p == w.last) // a hash takes everything
			continue
		}
		holders[p.disk] = i + 1
		_, _ = fmt.Fprintf(h, "%d %t %t\n", p.seen, p.done, p == w.last)
		for _, v := range w.waiting {
			if v.p == p {
				_, _ = fmt.Fprintf(h, "%s %s %t\n", v.op, v.path, gone == nil && w.tried[v.String()])
			}
		}
	}
	for _, path := range w.disk.Locked() {
		if holder := holders[w.disk.Holder(path)]; holder > 0 {
			_, _ = fmt.Fprintf(h, "%s %d\n", path, holder)
		}
	}
	w.things(h, w.disk, order, gone)
	_, _ = fmt.Fprintf(h, "%d %v", budget, disk.Now())
	return h.Sum64()
}

// end is key for when all processes are done: what they knew went with them.
func (w *world) end() uint64 { return w.endOn(w.disk) }

// endAfter is the end that a loss of power would be.
func (w *world) endAfter(loss disk.Loss) uint64 {
	d := w.disk.Clone()
	d.PowerOff(loss)
	return w.endOn(d)
}

func (w *world) endOn(d *disk.Disk) uint64 {
	h := fnv.New64a()
	w.things(h, d, nil, nil)
	return h.Sum64()
}

// things are what is outside of the processes. What a file holds that is being
// written is told by how far its writer is; nobody else reads it.
func (w *world) things(h io.Writer, d *disk.Disk, order []*process, gone *process) {
	now, safe := d.Files()
	for _, files := range []map[string]string{now, safe} {
		for _, path := range slices.Sorted(maps.Keys(files)) {
			content := files[path]
			if strings.HasSuffix(path, ".tmp") {
				content = ""
			}
			_, _ = fmt.Fprintf(h, "%s\x00%s\x00", path, content)
		}
	}
	_, _ = fmt.Fprintf(h, "%s %t %t", w.server.dump(order, gone), w.out, strings.Contains(w.told, unnoted))
	for _, g := range w.server.grants {
		_, _ = fmt.Fprintf(h, " %t", strings.Contains(w.told, g.device))
	}
}
