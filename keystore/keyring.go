package keystore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"sync/atomic"

	"filippo.io/age"
	"github.com/go-json-experiment/json"
)

// A ring keeps records in the keyring of the operating system, one item each. A
// record that no item of the platform can hold goes into a sealed file, and its
// item holds the key.
type ring struct {
	k        *Keystore
	turn     turn         // of the one call that is under way
	finished atomic.Int64 // calls that came back
}

// boxPath is not where sealed files lie: while a session moves from one store to
// the other, both hold it.
func (r *ring) boxPath(e Entry) string { return r.k.file(e.ID, ".box") }

// reserved is what an item holds before its login is approved.
const reserved = "{}"

// A boxKey is the item of a record that lies in a sealed file.
type boxKey struct {
	Version int    `json:"version"`
	Key     string `json:"age_key"`
}

// parseItem returns the key that an item holds, nil if it is a record itself.
func parseItem(item []byte) (*sealKey, error) {
	var b boxKey
	if err := json.Unmarshal(item, &b); err != nil || b.Key == "" {
		return nil, nil // if it is damaged, decode says so
	}
	if err := checkVersion(item); err != nil {
		return nil, err
	}
	return parseKey([]byte(b.Key), "what the keyring holds", "")
}

// read asks once more where a file is gone that the item has the key of: the
// record became small in this moment, and lies in the item.
func (r *ring) read(ctx context.Context, e Entry) ([]byte, error) {
	item, box, err := r.lookUp(ctx, e)
	if errors.Is(err, fs.ErrNotExist) {
		item, box, err = r.lookUp(ctx, e)
	}
	if box != nil {
		return box, err
	}
	return item, err
}

// lookUp returns the item of a record, and what lies in the file that it has the
// key of.
func (r *ring) lookUp(ctx context.Context, e Entry) (item, box []byte, err error) {
	item, err = r.get(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	item = bytes.TrimSuffix(item, []byte(" ")) // see open
	if string(item) == reserved {
		return nil, nil, errAbsent
	}
	key, err := parseItem(item)
	if key == nil || err != nil {
		return item, nil, err
	}
	path := r.boxPath(e)
	b, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	box, err = key.open(b)
	return nil, box, at(path, err)
}

// open shows that the keyring takes writes: it writes what is there already,
// with or without a blank at its end, so that a write without effect shows. If
// the record lies in a file, it takes the space for the next one.
func (r *ring) open(ctx context.Context, e Entry, now []byte) (pen, error) {
	item := []byte(reserved)
	if now != nil {
		if err := r.call(ctx, func() error { return soleItem(e.Account) }); err != nil {
			return nil, err
		}
		var err error
		if item, err = r.get(ctx, e); err != nil {
			return nil, err
		}
	}
	key, err := parseItem(item)
	if err != nil {
		return nil, err
	}
	other := bytes.TrimSuffix(item, []byte(" "))
	if len(other) == len(item) {
		other = append(item, ' ')
	}
	if err := r.set(ctx, e, other); err != nil {
		return nil, err
	}
	if key == nil {
		return &ringPen{r: r, e: e}, nil
	}
	d, err := newDraft(r.boxPath(e), roomFor(now))
	if err != nil {
		return nil, err
	}
	return &ringPen{r, e, &sealedPen{d, key}}, nil
}

// erase deletes items until there is none: there may be two with one name.
func (r *ring) erase(ctx context.Context, e Entry) error {
	for range 10 {
		err := r.delete(ctx, e)
		if errors.Is(err, errAbsent) {
			return eraseFile(r.boxPath(e))
		}
		if err != nil {
			return err
		}
	}
	return &Error{Kind: Broken, Store: KindKeyring, Problem: "the keyring does not delete what it is told to delete"}
}

// A ringPen writes one item, or a sealed file and its key.
type ringPen struct {
	r   *ring
	e   Entry
	box *sealedPen // of the file; nil while the item is the record
}

func (p *ringPen) commit(ctx context.Context, data []byte) error {
	switch {
	case len(data) <= itemMax:
		return p.commitItem(ctx, data)
	case p.box != nil:
		return p.box.commit(ctx, data)
	}
	return p.commitBox(ctx, data)
}

// commitItem makes the item the record. A file that it was the key of is not
// needed any more.
func (p *ringPen) commitItem(ctx context.Context, data []byte) error {
	err := p.r.set(ctx, p.e, data)
	if err == nil && p.box != nil {
		p.r.k.warn("A sealed file was left behind", errors.Join(p.box.drop(), eraseFile(p.box.path)))
		p.box = nil
	}
	return err
}

// commitBox puts the record into a file with a key of its own. The file counts
// from when the item holds its key.
func (p *ringPen) commitBox(ctx context.Context, data []byte) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return &Error{Kind: Broken, Store: KindKeyring, Problem: "no key can be made", Err: err}
	}
	item, err := json.Marshal(boxKey{formatVersion, id.String()})
	if err != nil {
		return &Error{Kind: Broken, Store: KindKeyring, Problem: "the key cannot be written as JSON"}
	}
	box := &sealedPen{&draft{path: p.r.boxPath(p.e)}, &sealKey{identities: []age.Identity{id}, recipient: id.Recipient()}}
	if err := box.commit(ctx, data); err != nil {
		return err
	}
	if err := p.r.set(ctx, p.e, item); err != nil {
		return err
	}
	p.box = box
	return nil
}

func (p *ringPen) drop() error {
	if p.box == nil {
		return nil
	}
	return p.box.drop()
}
