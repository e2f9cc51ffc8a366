package keystore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	"filippo.io/age"
)

// sealed keeps records as age files, which the age program can open too.
type sealed struct{ k *Keystore }

func (s sealed) path(e Entry) string { return s.k.file(e.ID, ".age") }

// probe does not ask for a key: that is prepare's.
func (s sealed) probe(context.Context) error { return s.k.probeDir() }

func (s sealed) prepare(ctx context.Context, fresh bool) error {
	_, err := s.k.sealKey(ctx, fresh)
	return err
}

func (s sealed) read(ctx context.Context, e Entry) ([]byte, error) {
	b, err := s.readOnce(ctx, e)
	var wrong *Error
	if errors.As(err, &wrong) && wrong.Kind == WrongKey && s.k.keyChanged() { // see Rekey
		return s.readOnce(ctx, e)
	}
	return b, err
}

func (s sealed) readOnce(ctx context.Context, e Entry) ([]byte, error) {
	b, err := readFile(s.path(e))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, errAbsent
	}
	if err != nil {
		return nil, err
	}
	key, err := s.k.sealKey(ctx, false)
	if err != nil {
		return nil, err
	}
	b, err = key.open(b)
	return b, at(s.path(e), err)
}

func (s sealed) open(ctx context.Context, e Entry, now []byte) (pen, error) {
	s.k.keyChanged() // what is sealed with a key of yesterday, nobody opens tomorrow
	key, err := s.k.sealKey(ctx, false)
	if err != nil {
		return nil, err
	}
	d, err := newDraft(s.path(e), roomFor(now))
	if err != nil {
		return nil, err
	}
	return &sealedPen{d, key}, nil
}

func (s sealed) erase(_ context.Context, e Entry) error { return eraseFile(s.path(e)) }

// A sealedPen seals a record, and opens it again before it trusts it.
type sealedPen struct {
	*draft
	key *sealKey
}

func (p *sealedPen) commit(_ context.Context, data []byte) error {
	box, err := p.key.seal(data)
	if err != nil {
		return err
	}
	back, err := p.key.open(box)
	if err == nil && !bytes.Equal(back, data) {
		err = errors.New("it opened to something else")
	}
	if err != nil {
		return &Error{Kind: Broken, Store: KindFile, Problem: "what was just sealed does not open", Path: p.path, Err: err}
	}
	return p.draft.commit(box)
}

// A sealKey opens and seals records.
type sealKey struct {
	identities []age.Identity
	recipient  age.Recipient
	file       fs.FileInfo // what it was read from; nil if that is no file
}

// newSealKey seals with the first of the identities that can, and opens with any.
func newSealKey(identities []age.Identity) (*sealKey, error) {
	for _, id := range identities {
		switch id := id.(type) {
		case *age.X25519Identity:
			return &sealKey{identities: identities, recipient: id.Recipient()}, nil
		case *age.HybridIdentity:
			return &sealKey{identities: identities, recipient: id.Recipient()}, nil
		}
	}
	return nil, errors.New("it holds no age identity (AGE-SECRET-KEY-…)")
}

func (k *sealKey) seal(data []byte) ([]byte, error) {
	var box bytes.Buffer
	w, err := age.Encrypt(&box, k.recipient)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, &Error{Kind: Broken, Store: KindFile, Problem: "the session cannot be sealed", Err: err}
	}
	return box.Bytes(), nil
}

func (k *sealKey) open(box []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(box), k.identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, &Error{Kind: WrongKey, Store: KindFile, Problem: "the key is not the one that sealed this file"}
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(r, recordMax))
	}
	if err != nil { // the library's words say nothing of the content
		return nil, &Error{Kind: Broken, Store: KindFile, Problem: "the sealed file is damaged", Err: err}
	}
	return data, nil
}
