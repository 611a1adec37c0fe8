package mayastor

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Packed is a [Volume] in a tenth of its memory. It is never changed. Two that
// were read by the same [Reader] are equal (==) exactly if their volumes are,
// and a volume that a reading finds as the one before did has its memory.
type Packed struct {
	words *words
	text  string
}

// Pack packs volumes; equal ones are equal when packed in one call. It keeps
// nothing of them.
func Pack(volumes ...Volume) []Packed {
	p := newPacker(newWords())
	p.words.mu.Lock()
	defer p.words.mu.Unlock()
	all := make([]Packed, len(volumes))
	for i := range volumes {
		all[i] = Packed{p.words, string(p.pack(&volumes[i]))}
	}
	return all
}

// Volume is the whole volume. It shares its topology and names with others and
// must not be changed below its own fields, but for the map of replicas, which
// is the caller's. The zero Packed has the zero Volume.
func (p Packed) Volume() Volume {
	if p.text == "" {
		return Volume{}
	}
	u := unpacker{all: p.words.all.Load(), text: p.text}
	return u.volume()
}

// UUID of the volume.
func (p Packed) UUID() string {
	if p.text == "" {
		return ""
	}
	u := unpacker{all: p.words.all.Load(), text: p.text}
	return u.string()
}

// A packed text begins with the uuid, and most with the number of its pieces
// and the kind of the first, which are these.
const (
	plainUUID  = "\x01\x01"
	plainBytes = len(plainUUID) + 16
)

// Compare is the order of the uuids as texts, and cheaper than theirs.
func (p Packed) Compare(o Packed) int {
	// Lower-case hexadecimal has the order of what it stands for.
	if strings.HasPrefix(p.text, plainUUID) && strings.HasPrefix(o.text, plainUUID) {
		return cmp.Compare(p.text[:plainBytes], o.text[:plainBytes])
	}
	return cmp.Compare(p.UUID(), o.UUID())
}

// The facts of a volume that need one bit.
const (
	bitSelfHeal = 1 << iota
	bitThin
	bitAsThin
	bitOperation
	bitResult
	bitResultTrue
	bitTarget
	bitTopology
	bitGroup
	bitContent
	bitEncrypted
	bitEncryptedTrue
	bitNexus
	bitChildren
	bitReplicas
	bitUsage
)

// The kinds of a piece of text. Even numbers from firstWord on are words, odd
// ones from firstUUID on are uuids that the volume had before.
const (
	pieceLiteral = iota
	pieceUUID
	firstWord
	firstUUID
)

// packer packs one volume after the other. While it does, words.mu is held.
type packer struct {
	words *words
	b     []byte
	uuids [][16]byte
	ids   []string // of the replicas
}

func newPacker(w *words) *packer { return &packer{words: w} }

// pack returns v packed, which is valid until the next call. The order of the
// map of replicas makes no difference.
func (p *packer) pack(v *Volume) []byte {
	p.b, p.uuids = p.b[:0], p.uuids[:0]
	s, st := &v.Spec, &v.State
	p.string(s.UUID)
	p.number(bitsOf(v))
	p.number(s.Size)
	p.number(int64(s.NumReplicas))
	p.word(string(s.Status))
	p.number(int64(s.NumSnapshots))
	if s.Operation != nil {
		p.word(s.Operation.Operation)
	}
	if s.Target != nil {
		p.word(s.Target.Node)
		p.word(s.Target.Protocol)
	}
	if s.Topology != nil {
		p.topology(s.Topology)
	}
	if s.AffinityGroup != nil {
		p.literal(s.AffinityGroup.ID)
	}
	if s.ContentSource != nil {
		p.literal(string(s.ContentSource))
	}
	p.number(st.Size)
	p.word(string(st.Status))
	if u := st.Usage; u != nil {
		p.number(u.Capacity)
		p.number(u.Allocated)
	}
	// Replicas before children, whose addresses hold their uuids again.
	p.replicas(st.Replicas)
	if st.Target != nil {
		p.nexus(st.Target)
	}
	return p.b
}

func bitsOf(v *Volume) (bits int64) {
	s, st := &v.Spec, &v.State
	set := func(bit int64, is bool) {
		if is {
			bits |= bit
		}
	}
	set(bitSelfHeal, s.Policy.SelfHeal)
	set(bitThin, s.Thin)
	set(bitAsThin, s.AsThin)
	set(bitOperation, s.Operation != nil)
	if s.Operation != nil && s.Operation.Result != nil {
		set(bitResult, true)
		set(bitResultTrue, *s.Operation.Result)
	}
	set(bitTarget, s.Target != nil)
	set(bitTopology, s.Topology != nil)
	set(bitGroup, s.AffinityGroup != nil)
	set(bitContent, s.ContentSource != nil)
	set(bitEncrypted, s.Encrypted != nil)
	set(bitEncryptedTrue, s.Encrypted != nil && *s.Encrypted)
	set(bitNexus, st.Target != nil)
	set(bitChildren, st.Target != nil && st.Target.Children != nil)
	set(bitReplicas, st.Replicas != nil)
	set(bitUsage, st.Usage != nil)
	return bits
}

func (p *packer) replicas(all map[string]ReplicaTopology) {
	p.ids = slices.AppendSeq(p.ids[:0], maps.Keys(all))
	slices.Sort(p.ids)
	p.number(int64(len(p.ids)))
	for _, id := range p.ids {
		r := all[id]
		p.string(id)
		p.word(r.Node)
		p.word(r.Pool)
		p.word(string(r.State))
		p.word(string(r.ChildStatus))
		p.word(r.ChildStatusReason)
		p.optional(r.RebuildProgress)
	}
	clear(p.ids)
}

func (p *packer) nexus(n *Nexus) {
	p.string(n.UUID)
	p.word(n.Node)
	p.word(string(n.State))
	p.word(n.Protocol)
	p.number(int64(n.Rebuilds))
	p.number(int64(len(n.Children)))
	for i := range n.Children {
		c := &n.Children[i]
		p.string(c.URI)
		p.word(string(c.State))
		p.word(c.StateReason)
		p.optional(c.RebuildProgress)
	}
}

// topology is a number, or nothing and its JSON.
func (p *packer) topology(t *Topology) {
	i, text := p.words.shape(t)
	if i < 0 {
		p.number(-1)
		p.literal(text)
		return
	}
	p.number(int64(i))
}

func (p *packer) number(n int64) { p.b = binary.AppendVarint(p.b, n) }

func (p *packer) optional(n *int) {
	if n == nil {
		p.b = append(p.b, 0)
		return
	}
	p.b = append(p.b, 1)
	p.number(int64(*n))
}

// string is cut into pieces: uuids, and what is between them.
func (p *packer) string(s string) {
	at := len(p.b)
	p.b = append(p.b, 0)
	pieces := byte(0)
	for s != "" && pieces < 250 {
		i := indexUUID(s)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			p.word(s[:i])
			s = s[i:]
		} else {
			p.uuid(parseUUID(s))
			s = s[uuidText:]
		}
		pieces++
	}
	if s != "" {
		p.literal(s)
		pieces++
	}
	p.b[at] = pieces
}

// word is a number, or the text itself where it can be none.
func (p *packer) word(s string) {
	if i, ok := p.words.number(s); ok {
		p.b = binary.AppendUvarint(p.b, uint64(i)*2+firstWord)
		return
	}
	p.literal(s)
}

func (p *packer) literal(s string) {
	p.b = append(p.b, pieceLiteral)
	p.b = binary.AppendUvarint(p.b, uint64(len(s)))
	p.b = append(p.b, s...)
}

func (p *packer) uuid(u [16]byte) {
	if i := slices.Index(p.uuids, u); i >= 0 {
		p.b = binary.AppendUvarint(p.b, uint64(i)*2+firstUUID)
		return
	}
	p.uuids = append(p.uuids, u)
	p.b = append(append(p.b, pieceUUID), u[:]...)
}

// unpacker reads what packer wrote.
type unpacker struct {
	all   *wordList
	text  string
	uuids []string
}

func (u *unpacker) volume() Volume {
	var v Volume
	s, st := &v.Spec, &v.State
	u.uuids = make([]string, 0, 8)
	s.UUID = u.string()
	bits := u.number()
	is := func(bit int64) bool { return bits&bit != 0 }
	s.Policy.SelfHeal, s.Thin, s.AsThin = is(bitSelfHeal), is(bitThin), is(bitAsThin)
	s.Size = u.number()
	s.NumReplicas = int(u.number())
	s.Status = Status(u.piece())
	s.NumSnapshots = int(u.number())
	if is(bitOperation) {
		s.Operation = &Operation{Operation: u.piece()}
		if is(bitResult) {
			s.Operation.Result = new(is(bitResultTrue))
		}
	}
	if is(bitTarget) {
		s.Target = &TargetSpec{Node: u.piece(), Protocol: u.piece()}
	}
	if is(bitTopology) {
		s.Topology = u.topology()
	}
	if is(bitGroup) {
		s.AffinityGroup = &AffinityGroup{ID: u.piece()}
	}
	if is(bitContent) {
		s.ContentSource = json.RawMessage(u.piece())
	}
	if is(bitEncrypted) {
		s.Encrypted = new(is(bitEncryptedTrue))
	}
	st.Size = u.number()
	st.Status = Status(u.piece())
	if is(bitUsage) {
		st.Usage = new(struct {
			Capacity  int64 `json:"capacity"`
			Allocated int64 `json:"allocated"`
		})
		st.Usage.Capacity, st.Usage.Allocated = u.number(), u.number()
	}
	n := u.number()
	if is(bitReplicas) {
		st.Replicas = make(map[string]ReplicaTopology, n)
	}
	for range n {
		id := u.string()
		st.Replicas[id] = ReplicaTopology{
			Node: u.piece(), Pool: u.piece(), State: Status(u.piece()),
			ChildStatus: Status(u.piece()), ChildStatusReason: u.piece(), RebuildProgress: u.optional(),
		}
	}
	if is(bitNexus) {
		st.Target = u.nexus(is(bitChildren))
	}
	return v
}

func (u *unpacker) nexus(children bool) *Nexus {
	n := &Nexus{UUID: u.string(), Node: u.piece(), State: Status(u.piece()), Protocol: u.piece(), Rebuilds: int(u.number())}
	count := u.number()
	if children {
		n.Children = make([]Child, 0, count)
	}
	for range count {
		n.Children = append(n.Children, Child{URI: u.string(), State: Status(u.piece()), StateReason: u.piece(), RebuildProgress: u.optional()})
	}
	return n
}

func (u *unpacker) topology() *Topology {
	if i := u.number(); i >= 0 {
		return u.all.topologies[i]
	}
	return decodeTopology(u.piece())
}

func (u *unpacker) byte() byte {
	b := u.text[0]
	u.text = u.text[1:]
	return b
}

// unsigned is binary.Uvarint of a text.
func (u *unpacker) unsigned() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := u.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (u *unpacker) number() int64 {
	n := u.unsigned()
	return int64(n>>1) ^ -int64(n&1)
}

func (u *unpacker) optional() *int {
	if u.byte() == 0 {
		return nil
	}
	return new(int(u.number()))
}

func (u *unpacker) take(n int) string {
	s := u.text[:n]
	u.text = u.text[n:]
	return s
}

func (u *unpacker) string() string {
	switch n := u.byte(); n {
	case 0:
		return ""
	case 1:
		return u.piece()
	default:
		var b strings.Builder
		b.Grow(160)
		for range n {
			b.WriteString(u.piece())
		}
		return b.String()
	}
}

func (u *unpacker) piece() string {
	switch k := u.unsigned(); {
	case k == pieceLiteral:
		return u.take(int(u.unsigned()))
	case k == pieceUUID:
		id := uuidString(u.take(16))
		u.uuids = append(u.uuids, id)
		return id
	case k%2 == firstWord%2:
		return u.all.texts[(k-firstWord)/2]
	default:
		return u.uuids[(k-firstUUID)/2]
	}
}
