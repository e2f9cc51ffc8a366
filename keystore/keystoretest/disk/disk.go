// Package disk is a file system in memory on which processes are killed and the
// power fails. Code that is to be tested on it is built with this package in the
// place of os and of github.com/gofrs/flock, see cmd/internal/model.
//
// It is as forgetful as POSIX allows: what a file holds is safe after a Sync of
// the file, that it has a name is safe after a Sync of its folder, and nothing
// else is. Locks belong to an open file and go with the process.
package disk

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A Disk is a file system that several processes share.
type Disk struct {
	root *node
	next int // inode of the next node
}

// NewDisk returns an empty Disk.
func NewDisk() *Disk {
	d := &Disk{}
	d.root = d.make(true)
	return d
}

// Clone returns a copy of a Disk on which nobody holds a lock.
func (d *Disk) Clone() *Disk {
	copies := map[*node]*node{}
	return &Disk{root: d.root.clone(copies), next: d.next}
}

func (n *node) clone(copies map[*node]*node) *node {
	if c := copies[n]; c != nil {
		return c
	}
	c := &node{number: n.number, mode: n.mode, data: slices.Clone(n.data), safe: slices.Clone(n.safe)}
	copies[n] = c
	if n.names == nil {
		return c
	}
	c.names, c.safeNames = map[string]*node{}, map[string]*node{}
	for name, child := range n.names {
		c.names[name] = child.clone(copies)
	}
	for name, child := range n.safeNames {
		c.safeNames[name] = child.clone(copies)
	}
	return c
}

// A node is a file or a folder.
type node struct {
	number int
	mode   fs.FileMode
	data   []byte
	names  map[string]*node // of a folder
	locked *Flock           // who holds the lock of this file

	safe      []byte // what data is after a loss of power
	safeNames map[string]*node
}

func (d *Disk) make(folder bool) *node {
	d.next++
	n := &node{number: d.next, mode: 0o600}
	if folder {
		n.mode, n.names, n.safeNames = fs.ModeDir|0o700, map[string]*node{}, map[string]*node{}
	}
	return n
}

func (n *node) sync() {
	n.safe, n.safeNames = slices.Clone(n.data), maps.Clone(n.names)
}

// A Loss says what becomes of what was not synced when the power fails. A real
// file system may do either, for each file.
type Loss int

// The losses.
const (
	LoseNames Loss = iota // folders are as of their last Sync, and files too
	LoseData              // folders keep all names, and files that were not synced are empty
)

// PowerOff leaves what survives a loss of power.
func (d *Disk) PowerOff(loss Loss) { d.root.powerOff(loss) }

func (n *node) powerOff(loss Loss) {
	n.data, n.locked = slices.Clone(n.safe), nil
	if n.names == nil {
		return
	}
	if loss == LoseNames {
		n.names = maps.Clone(n.safeNames)
	}
	for _, child := range n.names {
		child.powerOff(loss)
	}
}

// find walks to a node; nil if there is none.
func (d *Disk) find(path string) *node {
	n := d.root
	for _, name := range split(path) {
		if n == nil {
			return nil
		}
		n = n.names[name]
	}
	return n
}

// parent returns the folder of a path, and the last name in it.
func (d *Disk) parent(path string) (*node, string) {
	parts := split(path)
	if len(parts) == 0 {
		return nil, ""
	}
	return d.find(strings.Join(parts[:len(parts)-1], "/")), parts[len(parts)-1]
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// Files returns what every file holds, and what it would hold after a loss of
// power that spares no name.
func (d *Disk) Files() (now, safe map[string]string) {
	now, safe = map[string]string{}, map[string]string{}
	d.root.walk("", now, func(n *node) (map[string]*node, []byte) { return n.names, n.data })
	d.root.walk("", safe, func(n *node) (map[string]*node, []byte) { return n.safeNames, n.safe })
	return now, safe
}

func (n *node) walk(path string, into map[string]string, of func(*node) (map[string]*node, []byte)) {
	names, data := of(n)
	if n.names == nil {
		into[path] = string(data)
	}
	for name, child := range names {
		child.walk(path+"/"+name, into, of)
	}
}

// Locked returns the paths of the files that somebody holds a lock on.
func (d *Disk) Locked() []string {
	var paths []string
	var walk func(string, *node)
	walk = func(path string, n *node) {
		if n.locked != nil {
			paths = append(paths, path)
		}
		for name, child := range n.names {
			walk(path+"/"+name, child)
		}
	}
	walk("", d.root)
	slices.Sort(paths)
	return paths
}

// An Op is one operation of a process.
type Op struct {
	Name string // of the function: "rename"
	Path string
}

// A Process is somebody who uses a Disk, under a path that begins with its own
// name. Before is called before each operation: an error makes it fail without
// effect. After hears what came of it.
type Process struct {
	Disk   *Disk
	Before func(Op) error
	After  func(op Op, result string)

	locks []*Flock
}

// processes are the users of disks, by name.
var processes sync.Map

// Mount makes paths that begin with "/NAME/" those of p. Unmount undoes it.
func Mount(name string, p *Process) { processes.Store(name, p) }

// Unmount forgets a process.
func Unmount(name string) { processes.Delete(name) }

// user finds whose path it is, and the path on its disk.
func user(path string) (*Process, string) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	p, ok := processes.Load(name)
	if !ok {
		panic("nobody uses the disk as " + path)
	}
	return p.(*Process), "/" + rest
}

// begin asks whether an operation may take place.
func (p *Process) begin(name, path string) error {
	if p.Before == nil {
		return nil
	}
	return p.Before(Op{name, path})
}

// end tells what came of it.
func (p *Process) end(name, path, result string) {
	if p.After != nil {
		p.After(Op{name, path}, result)
	}
}

// End frees what the kernel frees when a process ends. Whatever it may still try
// must be refused by Before.
func (p *Process) End() {
	for _, l := range p.locks {
		l.free()
	}
	p.locks = nil
}

// Holder returns who holds the lock of a file; nil if nobody does.
func (d *Disk) Holder(path string) *Process {
	n := d.find(path)
	if n == nil || n.locked == nil {
		return nil
	}
	return n.locked.file.p
}
