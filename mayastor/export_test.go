package mayastor

// Words is how many words the reading of p knows.
func Words(p Packed) int { return len(p.words.all.Load().texts) }

// MaxWords is how many it may know.
const MaxWords = maxWords

// ScanPage reads an answer to the request for volumes without encoding/json;
// ok is false if it gave up on it.
func ScanPage(body []byte) (all []Volume, present bool, next *int64, ok bool) {
	return decodePage(func(p *page) bool { return p.scan(string(body)) })
}

// DecodePage reads it as the client does.
func DecodePage(body []byte) (all []Volume, present bool, next *int64, err error) {
	all, present, next, _ = decodePage(func(p *page) bool {
		err = p.decode(body)
		return err == nil
	})
	return all, present, next, err
}

func decodePage(read func(*page) bool) (all []Volume, present bool, next *int64, ok bool) {
	p := &page{listing: newListing(newWords(), nil)}
	if ok = read(p); !ok {
		return nil, false, nil, false
	}
	for _, v := range p.all {
		all = append(all, v.Volume())
	}
	return all, p.present, p.next, true
}
